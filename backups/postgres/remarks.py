"""What should be told of a loaded database although its rows are right: it may have been so in the source.

Each remark has, where there is one, the statement that would mend it: in one line, whatever the names are.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from backups.postgres.connect import Connection
from backups.postgres.snapshot import Name
from backups.types import Locale, Snapshot
from backups.words import printable

# To find a maximum without an index, the whole table is read once more. That is about a million rows.
READABLE_BYTES = 128 * 1024 * 1024
# Sequences that belong to an integer column: serial ('a') or identity ('i'). One that cycles is meant to meet old values again.
# https://www.postgresql.org/docs/current/catalog-pg-depend.html
_SEQUENCES = """
    SELECT sn.nspname, s.relname, tn.nspname, t.relname, a.attname,
           quote_ident(sn.nspname) || '.' || quote_ident(s.relname), quote_ident(tn.nspname) || '.' || quote_ident(t.relname),
           quote_ident(a.attname), q.seqincrement, q.seqmin, q.seqmax, has_sequence_privilege(s.oid, 'SELECT'),
           EXISTS (SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
                   WHERE x.indrelid = t.oid AND x.indkey[0] = a.attnum AND x.indisvalid AND x.indpred IS NULL
                     AND m.amname = 'btree'),
           coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(t.oid)), pg_relation_size(t.oid))::bigint
    FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
                    AND d.deptype IN ('a', 'i')
    JOIN pg_class t ON t.oid = d.refobjid AND t.relkind IN ('r', 'p') JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid JOIN pg_type y ON y.oid = a.atttypid
    WHERE coalesce(nullif(y.typbasetype, 0), y.oid) IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
      AND NOT q.seqcycle AND s.relpersistence <> 't' AND tn.nspname <> 'information_schema' AND tn.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = t.oid AND e.deptype = 'e')
    ORDER BY 1, 2
"""
# Of a partitioned table: it stays so until each partition's index is attached to it.
_UNFINISHED_INDEXES = """
    SELECT n.nspname, i.relname, tn.nspname, t.relname
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
    JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE NOT x.indisvalid AND i.relkind = 'I' AND tn.nspname <> 'information_schema' AND tn.nspname !~ '^pg_'
    ORDER BY 1, 2
"""
# Not those that hang on a parent's: they are validated with it. One that is NOT ENFORCED (18 and newer) can't be.
_UNVALIDATED = """
    SELECT con.conname, tn.nspname, t.relname,
           'ALTER TABLE ' || quote_ident(tn.nspname) || '.' || quote_ident(t.relname), quote_ident(con.conname)
    FROM pg_constraint con JOIN pg_class t ON t.oid = con.conrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE NOT con.convalidated AND con.conislocal AND t.relpersistence <> 't'
      AND coalesce((to_jsonb(con) ->> 'conenforced')::boolean, true)
      AND tn.nspname <> 'information_schema' AND tn.nspname !~ '^pg_'
    UNION ALL
    SELECT con.conname, n.nspname, y.typname,
           'ALTER DOMAIN ' || quote_ident(n.nspname) || '.' || quote_ident(y.typname), quote_ident(con.conname)
    FROM pg_constraint con JOIN pg_type y ON y.oid = con.contypid JOIN pg_namespace n ON n.oid = y.typnamespace
    WHERE NOT con.convalidated AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    ORDER BY 2, 3, 1
"""
_LOCALE = """
    SELECT pg_encoding_to_char(d.encoding), coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), d.datcollate, d.datctype,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') -- of 17 and newer, of 15 and 16
    FROM pg_database d WHERE d.datname = current_database()
"""


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One thing to tell. `kind`: sequence, constraint, index, extension, encoding or locale; `name` as people read it;
    `mend` is a statement of SQL, or empty.
    """

    kind: str
    name: str
    words: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.words}; mend it: {self.mend}" if self.mend else self.words

    def report(self) -> dict[str, Any]:
        """For the history: JSON."""
        return asdict(self)


def remarks_on(connection: Connection, expected: Snapshot, *, tables: Collection[Name] | None = None) -> Iterator[Remark]:
    """All of them; with `tables`, those on these tables alone, and nothing on extensions and locale."""
    if tables is None:
        yield from _on_locale(connection, expected)
        yield from _on_extensions(connection, expected)
    yield from _on_sequences(connection, tables)
    yield from _on_indexes(connection, tables)
    yield from _on_constraints(connection, tables)


def _remark(kind: str, name: str, words: str, *, mend: str = "") -> Remark:
    return Remark(kind=kind, name=name, words=printable(words), mend=mend)


def _on_locale(connection: Connection, expected: Snapshot) -> Iterator[Remark]:
    ((encoding, provider, collate, ctype, name),) = connection.execute(_LOCALE).fetchall()
    locale = Locale(provider=provider, collate=collate, ctype=ctype, name=name)
    if encoding != expected.encoding:
        yield _remark("encoding", encoding, f"the database's encoding is {encoding}; the backup's was {expected.encoding}")
    if _spelt_alike(locale) != _spelt_alike(expected.locale):
        words = f"the database's locale is {_named(locale)}; the backup's was {_named(expected.locale)}"
        yield _remark("locale", _named(locale), words)


def _on_extensions(connection: Connection, expected: Snapshot) -> Iterator[Remark]:
    there: dict[str, str] = dict(connection.execute("SELECT extname, extversion FROM pg_extension").fetchall())
    for name, version in expected.extensions:
        if there.get(name, version) != version:
            words = f"the extension {name} is of version {there[name]} here; the backup has it in version {version}"
            yield _remark("extension", name, words)


class _Owned(NamedTuple):
    """A sequence and its column, with their names quoted for SQL; a row of _SEQUENCES."""

    schema: str
    sequence: str
    table_schema: str
    table: str
    column: str
    quoted: str
    quoted_table: str
    quoted_column: str
    step: int
    lowest: int
    highest: int
    readable: bool
    indexed: bool
    bytes: int

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.sequence}"

    @property
    def where(self) -> str:
        return f"{self.table_schema}.{self.table}.{self.column}"

    @property
    def function(self) -> LiteralString:
        return "max" if self.step > 0 else "min"

    @property
    def mend(self) -> str:
        """Shown, never run. It looks up what has been reached by then."""
        reached = f"{self.function}({_in_one_line(self.quoted_column)})"
        return f"SELECT setval({_in_one_line(_literal(self.quoted))}, {reached}) FROM {_in_one_line(self.quoted_table)}"  # noqa: S608


def _on_sequences(connection: Connection, tables: Collection[Name] | None) -> Iterator[Remark]:
    for row in connection.execute(_SEQUENCES).fetchall():
        owned = _Owned(*row)
        if tables is not None and (owned.table_schema, owned.table) not in tables:
            continue
        if not owned.readable:
            yield _remark("sequence", owned.name, f"the sequence {owned.name} was not looked at: this role may not read it")
        elif not owned.indexed and owned.bytes > READABLE_BYTES:
            words = f"the sequence {owned.name} was not looked at: {owned.where} is in a large table and has no index"
            yield _remark("sequence", owned.name, words, mend=owned.mend)
        else:
            yield from _on_sequence(connection, owned)


def _on_sequence(connection: Connection, owned: _Owned) -> Iterator[Remark]:
    """The next value must be one that the column has not come to yet."""
    reading = sql.SQL("SELECT (SELECT {}({}) FROM {}), last_value, is_called FROM {}").format(
        sql.SQL(owned.function),
        sql.Identifier(owned.column),
        sql.Identifier(owned.table_schema, owned.table),
        sql.Identifier(owned.schema, owned.sequence),
    )
    ((reached, last, is_called),) = connection.execute(reading).fetchall()
    following = last + owned.step if is_called else last
    if reached is None or (following - reached) * owned.step > 0:
        return
    words = f"the sequence {owned.name} stands at {last}, but {owned.where} has reached {reached}: new rows would get old numbers"
    if owned.lowest <= reached <= owned.highest:
        yield _remark("sequence", owned.name, words, mend=owned.mend)
    else:
        end = owned.highest if owned.step > 0 else owned.lowest
        yield _remark("sequence", owned.name, f"{words}; the sequence itself ends at {end}")


def _on_indexes(connection: Connection, tables: Collection[Name] | None) -> Iterator[Remark]:
    for schema, index, *table in connection.execute(_UNFINISHED_INDEXES):
        if tables is None or tuple(table) in tables:
            name = f"{schema}.{index}"
            yield _remark("index", name, f"the index {name} is not valid: not every partition has its part of it")


def _on_constraints(connection: Connection, tables: Collection[Name] | None) -> Iterator[Remark]:
    for constraint, schema, holder, alter, quoted in connection.execute(_UNVALIDATED):
        if tables is None or (schema, holder) in tables:
            name = f"{schema}.{holder}.{constraint}"
            mend = f"{_in_one_line(alter)} VALIDATE CONSTRAINT {_in_one_line(quoted)}"
            yield _remark("constraint", name, f"the constraint {name} has not been held against all rows", mend=mend)


# Names


def _in_one_line(quoted: str) -> str:
    """SQL for a quoted name or string, with what can't be seen as its number, in each part between quotes that needs it.

    https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS-UESCAPE
    """
    return re.sub(r"""("(?:[^"]|"")*"|'(?:[^']|'')*')""", lambda found: _numbered(found[0]), quoted)


def _numbered(part: str) -> str:
    if part.isprintable():
        return part
    escaped = "".join(c if c.isprintable() else f"\\+{ord(c):06X}" for c in part.replace("\\", r"\\"))
    return f"U&{escaped}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# Locales


def _spelt_alike(locale: Locale) -> tuple[str, ...]:
    """en_US.UTF-8 and en_US.utf8 are one locale, and en-US is en_US."""
    return (locale.provider, *(re.sub("[-_]", "", name).lower() for name in (locale.collate, locale.ctype, locale.name)))


def _named(locale: Locale) -> str:
    provider = {"c": "libc", "i": "ICU", "b": "builtin"}.get(locale.provider, locale.provider)
    names = dict.fromkeys(name for name in (locale.name, locale.collate, locale.ctype) if name)
    return f"{', '.join(names)} ({provider})"
