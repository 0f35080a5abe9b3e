"""What a backup needs that the target's server may not have: roles, extensions, a locale, room."""

import shlex
from collections.abc import Iterable, Sequence

from backups import words
from backups.exceptions import ClientProgramError, RefusedError, UsageError
from backups.plan.checks import verdict_of
from backups.plan.nouns import Check, Choices, Level
from backups.postgres import beside, parts
from backups.postgres import target as at_target
from backups.postgres.connect import quoted
from backups.postgres.in_place import in_the_way
from backups.postgres.programs import choose_pg_dump
from backups.postgres.target import Target
from backups.types import Manifest, Server, Snapshot


def of_backup(
    manifest: Manifest, target: Server, there: Target, *, choices: Choices, client_folders: Sequence[str]
) -> Iterable[Check]:
    """What the backup needs that the server may not have."""
    snapshot = manifest.snapshot
    wanted_major = snapshot.server_version_num // 10000
    if there.server_major < wanted_major:
        yield Check(
            Level.BLOCK,
            f"The backup comes from PostgreSQL {snapshot.server_version}; the target's {there.server_version} is older.",
            hint=f"Restore to a server of PostgreSQL {wanted_major} or newer.",
        )
    else:
        yield Check(Level.OK, f"PostgreSQL {there.server_version} takes a backup of {snapshot.server_version}.")
    yield from _roles_checks(manifest, target, there, choices)
    yield from _parts_checks(manifest, target, there, choices, client_folders)
    if choices.in_place and there.database is not None:
        yield from _in_place_checks(manifest, target)
    yield from _extension_checks(snapshot, there)
    if not choices.in_place and there.may_create:
        said = at_target.missing_locale(target, encoding=snapshot.encoding, locale=snapshot.locale)
        name = snapshot.locale.name or snapshot.locale.collate
        yield (
            Check(
                Level.BLOCK,
                f"The server can't make a database like the one that was backed up: encoding {snapshot.encoding}, locale {name}.",
                said,
                "Install the locale there, and restart PostgreSQL.",
            )
            if said
            else Check(Level.OK, f"Encoding {snapshot.encoding} and locale {name} are there.")
        )
    yield _room_check(snapshot, there)
    yield from _migration_check(manifest)


def _roles_checks(manifest: Manifest, target: Server, there: Target, choices: Choices) -> Iterable[Check]:
    snapshot = manifest.snapshot
    mapped = dict(choices.map_roles)
    if unknown := sorted(set(mapped.values()) - there.roles):
        yield Check(
            Level.BLOCK,
            f"There is no role {', '.join(unknown)} on the server to stand in for another.",
            hint="Correct --map-role.",
        )
    for old, new in choices.map_roles:
        if old in there.roles:
            yield Check(
                Level.BLOCK,
                f"The role {old} is on the server: nobody needs to act for it, and nobody becomes a member of it by a restore.",
                hint=f"Leave out --map-role {shlex.quote(f'{old}={new}')}.",
            )
        elif old not in snapshot.roles:
            yield Check(Level.BLOCK, f"The backup names no role {old}.", hint="Correct --map-role OLD=NEW: OLD is of the backup.")
        else:
            yield Check(
                Level.WARN, f"The role {old} will be made, without login, with {new} as a member, and stays on the server."
            )
    missing = sorted(set(snapshot.roles) - there.roles - set(mapped))
    if not missing:
        yield Check(Level.OK, f"The roles of the backup are there: {', '.join(snapshot.roles) or 'it names none'}.")
        yield from _membership_check(snapshot, target, there, choices)
    elif not choices.keep_owners and not choices.keep_privileges:
        yield Check(Level.WARN, f"Owned by {target.user}, without privileges of {', '.join(missing)}, as chosen.")
    else:
        create = "; ".join(f"CREATE ROLE {quoted(role)}" for role in missing)
        pair = shlex.quote(f"{missing[0]}={target.user}")
        yield Check(
            Level.BLOCK,
            f"The server has no role {', '.join(missing)}, which owns or may use something in this backup.",
            hint=f"Create it there ({create}); or let another act for it: --map-role {pair};"
            f" or give everything to {target.user}: --no-owner --no-privileges."
            + (
                f" All roles of the old server, as SQL: icb db contents {manifest.filename} --globals" if manifest.globals else ""
            ),
        )


def _membership_check(snapshot: Snapshot, target: Server, there: Target, choices: Choices) -> Iterable[Check]:
    """https://www.postgresql.org/docs/current/sql-alterobject.html: who gives something away must be a member of who gets it."""
    others = sorted(set(snapshot.roles) & there.roles - there.roles_of_ours - {old for old, _new in choices.map_roles})
    if others and choices.keep_owners:
        yield Check(
            Level.WARN,
            f"The role {target.user} is not a member of {', '.join(others)}, and can't make anything theirs.",
            hint=f"If it owns something in the backup, the restore fails, and touches nothing: GRANT {quoted(others[0])} TO"
            f" {quoted(target.user)}; or give everything to {target.user}: --no-owner --no-privileges",
        )


def _parts_checks(
    manifest: Manifest, target: Server, there: Target, choices: Choices, client_folders: Sequence[str]
) -> Iterable[Check]:
    try:
        parts.require_known(choices.tables, _tables_of(manifest))
    except UsageError as error:
        yield Check(Level.BLOCK, error.message, error.detail, error.hint)
    if not choices.into_schema or there.database is None:
        return
    try:
        beside.require_free_schema(target, schema=choices.into_schema)
        choose_pg_dump(there.server_major, folders=client_folders)
    except (UsageError, RefusedError, ClientProgramError) as error:
        yield Check(Level.BLOCK, error.message.removesuffix(" Nothing was touched."), error.detail, error.hint)
    if not there.database.may_make_schemas:
        yield Check(
            Level.BLOCK,
            f"The role {target.user} may not make a schema in {target.database}.",
            hint=f"Let its owner run: GRANT CREATE ON DATABASE {quoted(target.database)} TO {quoted(target.user)}",
        )


def _in_place_checks(manifest: Manifest, target: Server) -> Iterable[Check]:
    if manifest.objects is None:
        return
    named = {one.kind: one.names for one in manifest.objects}
    relations = {name for kind in ("TABLE", "VIEW", "MATERIALIZED VIEW") for name in named.get(kind, ())}
    statements = in_the_way(target, relations=relations, foreign_keys=named.get("FK CONSTRAINT", ()))
    if statements:
        yield Check(
            Level.BLOCK,
            f"In {target.database} are views or foreign keys that are not in the backup and depend on what is,"
            " so that it can't be replaced in place.",
            detail="\n".join(f"{statement};" for statement in statements),
            hint="Run these statements first, if you don't need what they drop; or restore without --in-place.",
        )


def _tables_of(manifest: Manifest) -> set[str]:
    """Also partitioned tables, which have no rows of their own; where those were not noted, the archive will tell."""
    noted = (one.names for one in manifest.objects or () if one.kind == "TABLE")
    return {table.name for table in manifest.snapshot.tables}.union(*noted)


def _extension_checks(snapshot: Snapshot, there: Target) -> Iterable[Check]:
    missing = [f"{name} {version}" for name, version in snapshot.extensions if name not in there.extensions]
    if missing:
        yield Check(
            Level.BLOCK,
            f"The server can't install {', '.join(missing)}, which the backup needs.",
            hint="Install the packages of these extensions on the server.",
        )
    others = [
        f"{name} {there.extensions[name]} instead of {version}"
        for name, version in snapshot.extensions
        if name in there.extensions and there.extensions[name] != version
    ]
    if others:
        yield Check(Level.WARN, f"Extensions come in another version: {', '.join(others)}.")
    if snapshot.extensions and not missing and not others:
        yield Check(Level.OK, f"Extensions are there: {', '.join(f'{n} {v}' for n, v in snapshot.extensions)}.")


def _room_check(snapshot: Snapshot, there: Target) -> Check:
    needed = snapshot.database_size_bytes
    if there.free_bytes is None:
        return Check(Level.WARN, f"The server's free disk can't be seen from here; about {words.size(needed)} are needed.")
    if there.free_bytes < needed:
        return Check(
            Level.BLOCK,
            f"The server's disk has {words.size(there.free_bytes)} free; about {words.size(needed)} more are needed.",
            hint="Make room on the server: what is there now is kept until the restore is proven, and after it.",
        )
    return Check(Level.OK, f"Room on the server: {words.size(there.free_bytes)} free, about {words.size(needed)} needed.")


def _migration_check(manifest: Manifest) -> Iterable[Check]:
    verdict = verdict_of(manifest)
    if verdict is None:
        yield Check(Level.WARN, "The migrations of this code can't be read, so how the backup fits it is not known.")
    elif verdict.is_ours:
        level = Level.WARN if verdict.behind or verdict.unknown else Level.OK
        yield Check(level, f"Migrations: {verdict}.")
