"""Parts of a backup: chosen tables in a database of their own. `beside` puts them into a schema beside the live ones.

pg_restore is given the ids of the entries to take (--use-list), so no name has to be found in a text that shows line breaks
as spaces. https://www.postgresql.org/docs/current/app-pgrestore.html
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from psycopg import sql

from backups.exceptions import RefusedError, UsageError
from backups.postgres.archive import Entry, Section
from backups.postgres.connect import Connection, connected
from backups.postgres.contents import read_contents
from backups.postgres.load import load_archive
from backups.postgres.programs import ClientProgram
from backups.types import Server

Name = tuple[str, str]  # schema, table
RELATIONS = frozenset({"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW"})
LARGE_OBJECTS = frozenset({"BLOB", "BLOB METADATA", "BLOBS"})
# They hang on a table's entry through another entry: an index of a partition on both indexes, a constraint on its domain.
INDIRECT = frozenset({"INDEX ATTACH", "CHECK CONSTRAINT", "CONSTRAINT"})
CONSTRAINTS = frozenset({"CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT"})  # named "table name"
OF_A_TABLE = frozenset({
    *("TABLE DATA", "DEFAULT", "INDEX", "TRIGGER", "RULE", "POLICY", "ROW SECURITY", "STATISTICS DATA"),
    *("SEQUENCE", "SEQUENCE SET", "SEQUENCE OWNED BY"),
})  # fmt: skip
BATCH = 100  # tables that are dropped in one statement; each takes locks, of which a server has a fixed number


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen of an archive: the tables with their partitions, and the ids of the entries to restore, in order."""

    tables: tuple[Name, ...]
    ids: tuple[int, ...]

    def as_list(self) -> str:
        """For pg_restore --use-list."""
        return _as_list(self.ids)


def choose(contents: Sequence[Entry], *, tables: Iterable[Name]) -> Choice:
    """Picks what belongs to some tables.

    That is: every definition that comes before data (tables depend on types, functions, and each other), the rows of the
    chosen tables and of their partitions, all sequences' values, and of indexes, constraints, triggers, policies, comments
    and privileges those that concern chosen tables alone. No large objects, views, publications or event triggers.

    Raises UsageError for a table that is not in the archive, with the nearest names.
    """
    chosen = _with_partitions(contents, _ids_of(contents, tables))
    relations = {entry.id for entry in contents if entry.kind in RELATIONS}
    taken: set[int] = set()
    for entry in contents:
        if _is_wanted(entry, chosen=chosen, relations=relations, taken=taken):
            taken.add(entry.id)
    return Choice(
        tables=tuple((entry.schema, entry.name) for entry in contents if entry.id in chosen),
        ids=tuple(entry.id for entry in contents if entry.id in taken),
    )


def load_tables(
    program: ClientProgram,
    server: Server,
    *,
    archive: Path,
    tables: Iterable[Name],
    folder: Path,
    run_id: str,
    jobs: int = 1,
    keep_owners: bool = True,
    keep_privileges: bool = True,
) -> tuple[Name, ...]:
    """Loads chosen tables into an empty database of the run's own, and returns their names with those of their partitions.

    The list for pg_restore is written into `folder`. Tables and views that were not chosen are dropped again.

    Raises UsageError for a table that is not in the archive, LoadError, and RefusedError when a chosen table would lose a
    column with one that was not chosen.
    """
    choice = choose(read_contents(archive), tables=tables)
    load_archive(
        program,
        server,
        archive=archive,
        run_id=run_id,
        jobs=jobs,
        use_list=_written(folder / "tables.list", choice.as_list()),
        keep_owners=keep_owners,
        keep_privileges=keep_privileges,
    )
    with connected(server, application_name=f"restore:{run_id}") as connection:
        _keep_only(connection, choice.tables)
    return choice.tables


def list_in_place(archive: Path, *, staying: Collection[Name], without: Collection[Name], folder: Path) -> Path:
    """A list file of what is to be dropped and loaded again where it is: all of an archive, but for schemas and extensions that
    stay, by kind and name, and for some tables with all that is theirs.
    """
    contents = read_contents(archive)
    tables = {entry.id for entry in contents if entry.kind == "TABLE" and (entry.schema, entry.name) in without}
    left_out = tables | {entry.id for entry in contents if (entry.kind, entry.name) in staying or _is_of(entry, tables, without)}
    ids = [
        entry.id
        for entry in contents
        if entry.id not in left_out
        and not (entry.section == Section.NONE and entry.dependencies and left_out.issuperset(entry.dependencies))
    ]
    return _written(folder / "in-place.list", _as_list(ids))


# Choosing


def _ids_of(contents: Sequence[Entry], tables: Iterable[Name]) -> set[int]:
    ids = {(entry.schema, entry.name): entry.id for entry in contents if entry.kind == "TABLE"}
    wanted = list(tables)
    if not wanted:
        raise UsageError("No table was chosen.", hint="For example: --table public.customer")
    require_known(wanted, {".".join(name) for name in ids})
    return {ids[name] for name in wanted}


def require_known(wanted: Iterable[Name], known: Collection[str]) -> None:
    """Raises UsageError, with the nearest names, for tables that are not among the known ones, each as schema.name."""
    shown = [name for name in map(".".join, wanted) if name not in known]
    if shown:
        nearest = {near: None for name in shown for near in get_close_matches(name, known, n=3, cutoff=0.4)}
        raise UsageError(
            f"{' and '.join(shown[:5])}{' and others' if shown[5:] else ''}: not among the backup's tables.",
            detail=f"The nearest are: {', '.join(list(nearest)[:10])}" if nearest else "",
            hint="icb db contents FILENAME lists what is in a backup. A table is named with its schema: public.customer",
        )


def _is_of(entry: Entry, tables: set[int], names: Collection[Name]) -> bool:
    """Whether it is a table's own. What only refers to one, as another's foreign key or a view does, is not."""
    if entry.kind in CONSTRAINTS:
        return (entry.schema, entry.name.partition(" ")[0]) in names
    return entry.kind in OF_A_TABLE and not tables.isdisjoint(entry.dependencies)


def _with_partitions(contents: Sequence[Entry], chosen: set[int]) -> set[int]:
    """An entry TABLE ATTACH has the name of the partition, and depends on it and on the table that it is a part of."""
    tables = {entry.id: (entry.schema, entry.name) for entry in contents if entry.kind in RELATIONS}
    partitions: dict[int, set[int]] = {}
    for entry in contents:
        if entry.kind == "TABLE ATTACH":
            both = [table for table in entry.dependencies if table in tables]
            child = {table for table in both if tables[table] == (entry.schema, entry.name)}
            for parent in set(both) - child:
                partitions.setdefault(parent, set()).update(child)
    found, left = set(chosen), list(chosen)
    while left:
        more = partitions.get(left.pop(), set()) - found
        found |= more
        left += more
    return found


def _is_wanted(entry: Entry, *, chosen: set[int], relations: set[int], taken: set[int]) -> bool:
    if entry.kind in LARGE_OBJECTS or entry.kind.startswith(("PUBLICATION", "SUBSCRIPTION", "EVENT TRIGGER")):
        return False
    if entry.section == Section.PRE_DATA:
        return True
    if entry.section == Section.DATA:
        return entry.kind == "SEQUENCE SET" or (entry.kind == "TABLE DATA" and not chosen.isdisjoint(entry.dependencies))
    on_relations = relations.intersection(entry.dependencies)
    if on_relations:
        return on_relations <= chosen
    indirect = entry.section == Section.NONE or entry.kind in INDIRECT
    return indirect and bool(entry.dependencies) and taken.issuperset(entry.dependencies)


def _as_list(ids: Iterable[int]) -> str:
    return "".join(f"{number};\n" for number in ids)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# In the staging database

_RELATIONS = """
    SELECT c.oid, n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
_PARENTS = """
    SELECT cn.nspname, c.relname, pn.nspname, p.relname, c.relispartition
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
    JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE i.inhrelid = ANY(%(chosen)s) AND NOT i.inhparent = ANY(%(chosen)s)
"""
_COLUMNS = """
    SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute
    WHERE attrelid = ANY(%s) AND attnum > 0 AND NOT attisdropped
"""


def _keep_only(connection: Connection, tables: Sequence[Name]) -> None:
    """Drops tables and views that were not chosen. What hangs on them goes, too: foreign keys, defaults, functions."""
    there = connection.execute(_RELATIONS).fetchall()
    wanted = set(tables)
    chosen = {oid for oid, schema, name, _kind in there if (schema, name) in wanted}
    _release(connection, chosen)
    columns = _columns(connection, chosen)
    for kinds, word in (("m", "MATERIALIZED VIEW"), ("v", "VIEW"), ("f", "FOREIGN TABLE"), ("rp", "TABLE")):
        names = [(schema, name) for oid, schema, name, kind in there if kind in kinds and oid not in chosen]
        for start in range(0, len(names), BATCH):
            batch = sql.SQL(", ").join(sql.Identifier(*name) for name in names[start : start + BATCH])
            connection.execute(sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(word), batch))
    lost = columns - _columns(connection, chosen)
    if lost:
        raise RefusedError(
            "A chosen table has columns that can't be without another table, which was not chosen.",
            detail=", ".join(sorted(lost)[:10]),
            hint="Choose the table that gives these columns their type as well: --table SCHEMA.NAME",
        )


def _release(connection: Connection, chosen: set[int]) -> None:
    """Takes chosen partitions and heirs from parents that were not chosen: dropping a parent would drop them."""
    for child_schema, child, parent_schema, parent, is_partition in connection.execute(
        _PARENTS, {"chosen": list(chosen)}
    ).fetchall():
        below, above = sql.Identifier(child_schema, child), sql.Identifier(parent_schema, parent)
        if is_partition:
            connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(above, below))
        else:
            connection.execute(sql.SQL("ALTER TABLE {} NO INHERIT {}").format(below, above))


def _columns(connection: Connection, tables: set[int]) -> set[str]:
    return {name for (name,) in connection.execute(_COLUMNS, [list(tables)])}
