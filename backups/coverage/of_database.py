"""What a dump of one database leaves out, in words."""

import shlex
from collections.abc import Iterator

from django.utils import timezone

from backups import conf, words
from backups.coverage.nouns import Finding, Level, Site, some
from backups.postgres.connect import quoted
from backups.postgres.uncovered import Inside, Surroundings


def newest(site: Site) -> Finding:
    """Whether there is a backup at all."""
    if site.newest is None:
        other = site.namesake.filename if site.namesake else ""
        detail = f"There is one of a database of that name on another server: {other}" if other else ""
        alias = "" if site.alias == "default" else f" --database {shlex.quote(site.alias)}"
        text = f"{site.name} has no backup in the environment {conf.current().environment}."
        return Finding(Level.ACT, "no-backup", text, detail, hint=f"icb db backup first{alias}")
    age = words.age(site.newest.started_at, now=timezone.now())
    return Finding(Level.FINE, "backup", f"{site.name}: newest backup {age}. No table is left out.", site.newest.filename)


def findings(site: Site, around: Surroundings, inside: Inside) -> Iterator[Finding]:
    """All that is in the database and not, or not wholly, in its dump."""
    name = site.name
    if inside.missing_grants:
        text = f"{name} has things that our role can't read. It is not backed up until it can read them."
        yield Finding(Level.ACT, "unreadable", text, inside.missing_grants, "Let a superuser run the statements above.")
    yield from _rows(name, around, inside)
    yield from _large_objects(name, inside)
    yield from _needs(name, around, inside)
    if inside.hidden:
        text = f"Not all of {name} could be looked at: the server does not tell our role."
        yield Finding(Level.KNOW, "hidden", text, "\n".join(inside.hidden))


def _rows(name: str, around: Surroundings, inside: Inside) -> Iterator[Finding]:
    """Tables whose rows are a matter of their own."""
    if inside.unlogged and around.is_standby:
        text = f"{name}: a standby has no rows of unlogged tables, and this server is one."
        yield Finding(Level.ACT, "unlogged", text, some(inside.unlogged), "Back up the primary: name its host in the settings.")
    elif inside.unlogged:
        text = f"{name}: rows of {words.things(len(inside.unlogged), 'unlogged table')} are in the backup."
        yield Finding(
            Level.FINE, "unlogged", text, some(inside.unlogged), "A crash of the server empties them, a backup does not."
        )
    if inside.foreign:
        count = words.things(len(inside.foreign), "foreign table")
        text = f"{name}: of {count} only the definition is in the backup; the rows are on another server."
        yield Finding(Level.KNOW, "foreign", text, some(inside.foreign), "Have that server backed up, too.")
    if inside.materialized:
        count = words.things(len(inside.materialized), "materialized view")
        text = f"{name}: {count} without rows in the backup. A restore computes them anew, which takes its time."
        yield Finding(Level.KNOW, "materialized", text, some(inside.materialized))
    if inside.of_extensions:
        count = words.things(len(inside.of_extensions), "table")
        text = f"{name}: {count} of extensions. They come back with the extension, without the rows in them now."
        yield Finding(Level.KNOW, "extensions", text, some(inside.of_extensions), "Keep rows of your own in tables of your own.")
    if inside.temporary:
        text = (
            f"{name}: {words.things(inside.temporary, 'temporary table')} of sessions, in no backup; they end with the session."
        )
        yield Finding(Level.FINE, "temporary", text)


def _large_objects(name: str, inside: Inside) -> Iterator[Finding]:
    if inside.unreadable_large_objects:
        unreadable, count = words.count(inside.unreadable_large_objects), words.things(inside.large_objects, "large object")
        text = f"{name}: our role can't read {unreadable} of {count}. It is not backed up until it can."
        yield Finding(Level.ACT, "large-objects", text, hint="Each needs GRANT SELECT ON LARGE OBJECT; or our role must own it.")
    elif inside.large_objects:
        count = words.things(inside.large_objects, "large object")
        text = f"{name}: {count} with data, owners and permissions are in the backup. A restore does not compare them."
        yield Finding(Level.FINE, "large-objects", text)


def _needs(name: str, around: Surroundings, inside: Inside) -> Iterator[Finding]:
    """What the database leans on, and a dump does not make."""
    if inside.tablespaces:
        text = f"{name}: {words.things(len(inside.tablespaces), 'tablespace')} in use. A server without them can't restore it."
        folders = some([f"{space} in {folder or 'a folder that is not told'}" for space, folder in inside.tablespaces])
        hint = some(
            [f"CREATE TABLESPACE {quoted(space)} LOCATION '…'; before the restore" for space, _folder in inside.tablespaces]
        )
        yield Finding(Level.KNOW, "tablespaces", text, folders, hint)
    if inside.subscriptions:
        where = "in the backup" if around.is_superuser else "in no backup, because our role is no superuser"
        text = f"{name}: {words.things(len(inside.subscriptions), 'subscription')} {where}. How far they have come is in none."
        hint = "After a restore they are disabled. Make them again, and decide whether the rows are copied again (copy_data)."
        yield Finding(Level.KNOW, "subscriptions", text, some(inside.subscriptions), hint)
    if inside.settings:
        text = f"{name}: a restore over {name} keeps the database's own settings; one onto a new server does not bring them."
        hint = "There, set them again: ALTER DATABASE … SET"
        yield Finding(Level.KNOW, "settings", text, some(inside.settings), hint)
