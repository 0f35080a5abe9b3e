"""What is in a backup, as text for people and as JSON for machines: by its manifest alone."""

import json
from collections.abc import Iterator

from backups import documents, words
from backups.types import Manifest, Objects, TableRows

# In this order, under these names; then the kinds that have none here, under PostgreSQL's.
HEADINGS = {
    "INDEX": "indexes",
    "FUNCTION": "functions",
    "VIEW": "views",
    "MATERIALIZED VIEW": "materialized views",
    "SEQUENCE": "sequences",
    "TYPE": "types",
    "DOMAIN": "domains",
    "CONSTRAINT": "primary keys and unique constraints",
    "FK CONSTRAINT": "foreign keys",
    "CHECK CONSTRAINT": "check constraints",
    "TRIGGER": "triggers",
    "SCHEMA": "schemas",
}
APART = ("TABLE", "EXTENSION")  # told with rows, and with versions


def as_text(manifest: Manifest) -> str:
    """The tables, biggest first, with their sum; then everything else by its name."""
    snapshot = manifest.snapshot
    lines = [
        f"{manifest.filename}  ({words.size(manifest.size_bytes)}, {manifest.started_at:%Y-%m-%d %H:%M} UTC)",
        f"{words.printable(manifest.database)}, {words.size(snapshot.database_size_bytes)},"
        f" PostgreSQL {words.printable(snapshot.server_version)}",
        "",
        *_tables(snapshot.tables),
        *_section("extensions", [f"{name} {version}" for name, version in snapshot.extensions]),
    ]
    if manifest.objects is None:
        return "\n".join([*lines, "", "Indexes, functions and others were not noted when this backup was made."])
    return "\n".join([*lines, *(line for objects in _others(manifest.objects) for line in _objects(objects))])


def as_json(manifest: Manifest) -> str:
    """The same with full precision."""
    return json.dumps(documents.contents(manifest), indent=2, ensure_ascii=False)


def _tables(tables: tuple[TableRows, ...]) -> list[str]:
    from rich.cells import cell_len

    total = (
        f"{len(tables)} table{'' if len(tables) == 1 else 's'}",
        sum(table.rows for table in tables),
        sum(table.bytes for table in tables),
    )
    told = [(words.printable(table.name), table.rows, table.bytes) for table in documents.biggest_first(tables)]
    rows = [("table", "rows", "bytes")]
    rows += [(name, words.count(count), words.size(size)) for name, count, size in (*told, total)]
    widths = [max(cell_len(row[number]) for row in rows) for number in range(3)]
    lines = [
        f"{name}{' ' * (widths[0] - cell_len(name))}   {count:>{widths[1]}}   {size:>{widths[2]}}" for name, count, size in rows
    ]
    return [*lines[:-1], "", lines[-1]]


def _others(objects: tuple[Objects, ...]) -> Iterator[Objects]:
    known = {one.kind: one for one in objects}
    yield from (known[kind] for kind in HEADINGS if kind in known)
    yield from (one for one in objects if one.kind not in HEADINGS and one.kind not in APART)


def _objects(objects: Objects) -> list[str]:
    heading = HEADINGS.get(objects.kind, words.printable(objects.kind.lower()))
    if not documents.is_told(objects):
        return ["", f"{heading} ({words.count(objects.count)}): too many to name"]
    return _section(heading, list(objects.names))


def _section(heading: str, names: list[str]) -> list[str]:
    return ["", f"{heading} ({words.count(len(names))})", *(f"  {words.printable(name)}" for name in names)] if names else []
