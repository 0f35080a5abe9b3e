"""What a server has beside the site's databases, and how much of it is beside their backups, in words."""

import re
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from django.db import connections

from backups import catalog, conf, words
from backups.coverage.nouns import SHOWN, Finding, Level, Site, some
from backups.exceptions import BackupsError
from backups.postgres import uncovered
from backups.postgres.databases import MAINTENANCE_DATABASE, named
from backups.postgres.uncovered import Neighbour, Surroundings
from backups.storage import keys
from backups.stores import Stores
from backups.types import Server


def findings(around: Surroundings, members: Sequence[Site], *, stores: Stores) -> Iterator[Finding]:
    """Of one server, of which `members` are databases."""
    server = members[0].server
    place = server.address.rpartition("/")[0].rpartition("@")[2]
    yield _roles(around, members, place, stores)
    yield from _neighbours(around, members, place)
    if around.slots:
        text = f"{place}: {words.things(len(around.slots), 'replication slot')} in no backup. A restored database has none."
        told = [f"{name}, {kind}{', of ' + database if database else ''}" for name, kind, database in around.slots]
        hint = "After a restore, make each again, and let who reads from it copy anew: changes in between are not in it."
        yield Finding(Level.KNOW, "slots", text, some(told), hint)
    files = some(around.configuration) or "postgresql.conf, pg_hba.conf; our role may not see where they are"
    text = f"{place}: the server's own configuration and certificates are in no backup."
    yield Finding(Level.KNOW, "configuration", text, files, "Keep a copy of them where the server is described.")
    if around.hidden:
        text = f"{place}: not all could be looked at, because the server does not tell our role."
        yield Finding(Level.KNOW, "hidden", text, "\n".join(around.hidden))


# Roles. They belong to the cluster, so pg_dump has only their names.


def _roles(around: Surroundings, members: Sequence[Site], place: str, stores: Stores) -> Finding:
    count = words.things(len(around.roles), "role")
    by_hand = _dump_of_globals(members[0].server, around)
    entries = [site.newest for site in members if site.newest is not None]
    if not entries:
        return Finding(Level.ACT, "roles", f"{place}: {count} and their passwords are in no backup.", hint=by_hand)
    newest = max(entries, key=lambda entry: entry.started_at)
    try:
        location = _globals(newest.key, stores)
    except BackupsError as error:
        text = f"{place}: whether its {count} are beside the newest backup can't be told."
        return Finding(Level.ACT, "roles", text, "\n".join(filter(None, (error.message, error.detail))), error.hint)
    if not location:
        text = f"{place}: {count} and their passwords are in no backup. They are not beside the newest one."
        return Finding(Level.ACT, "roles", text, newest.filename, by_hand)
    text = f"{place}: {count} beside the newest backup, without passwords: those are in no backup."
    hint = f"On a new server: icb db contents {newest.filename} --globals | psql …; then ALTER ROLE … PASSWORD"
    return Finding(Level.KNOW, "roles", text, location, f"{hint}\nPasswords, too, for a safe place: {by_hand}")


def _globals(key: str, stores: Stores) -> str:
    """Where the roles are that were dumped with a backup, proven by its manifest; empty where there are none.

    Raises StorageError, ManifestError, ChecksumError.
    """
    for store in (stores.s3, stores.local):
        if store is not None and store.head(keys.globals_key(key)) is not None:
            catalog.read_globals(store, key, catalog.read_manifest(store, key))
            return store.location(keys.globals_key(key))
    return ""


def _dump_of_globals(server: Server, around: Surroundings) -> str:
    """The command that a person runs. Passwords are a superuser's to read."""
    user = server.user if around.is_superuser else "SUPERUSER"
    given = (("--host", server.host), ("--port", str(server.port or "")), ("--username", user))
    options = [word for option, value in given if value for word in (option, value)]
    return shlex.join(["pg_dumpall", *options, "--globals-only"]) + " > globals.sql"


# Other databases.


def _neighbours(around: Surroundings, members: Sequence[Site], place: str) -> Iterator[Finding]:
    ours = {site.name for site in members}
    others = [one for one in around.databases if one.name not in ours]
    if kept := [one for one in others if one.is_ours]:
        text = f"{place}: {words.things(len(kept), 'database')} of restores, kept or not in place yet, in no backup."
        yield Finding(
            Level.FINE, "kept", text, some([_told(one) for one in kept]), "icb db list shows what is kept, and until when."
        )
    strangers = [one for one in others if not one.is_ours and not _is_bare(one, members[0].server)]
    if strangers:
        size = words.size(sum(one.size_bytes or 0 for one in strangers))
        count = words.things(len(strangers), "database")
        text = f"{place}: {count} ({size}) without an alias in the settings, so in no backup."
        hint = "To back them up, add to the environment:\n" + some(_variables(strangers, members))
        yield Finding(Level.ACT, "other-databases", text, some([_told(one) for one in strangers]), hint)


def _told(one: Neighbour) -> str:
    return f"{one.name}, {words.size(one.size_bytes) if one.size_bytes is not None else 'size not told'}"


def _is_bare(one: Neighbour, server: Server) -> bool:
    """Whether it is the maintenance database that every server has, with no table in it."""
    if one.name != MAINTENANCE_DATABASE:
        return False
    try:
        return uncovered.count_tables(named(server, one.name)) == 0
    except BackupsError:
        return False


def _variables(strangers: Sequence[Neighbour], members: Sequence[Site]) -> list[str]:
    """A line of the environment for each, with an alias that is free."""
    server, site = members[0].server, conf.server("default")
    beside_the_site = any(member.server.address == site.address for member in members)
    base = "" if beside_the_site else f"USER:PASSWORD@{server.host or 'HOST'}:{server.port or 5432}"
    taken, lines = set(connections), []
    for one in sorted(strangers, key=lambda one: -(one.size_bytes or 0))[: SHOWN + 1]:
        alias = re.sub("[^a-z0-9]+", "_", one.name.lower()).strip("_") or "other"
        while alias in taken:
            alias += "_2"
        taken.add(alias)
        lines.append(f"DATABASE_URL_{alias.upper()}=postgres://{base}/{quote(one.name, safe='')}")
    return lines
