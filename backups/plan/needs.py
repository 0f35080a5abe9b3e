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
from backups.sentences import joined
from backups.sentences import sentence as _
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
            _(
                "The backup comes from PostgreSQL {server_version}; the target's {ours} is older.",
                server_version=snapshot.server_version,
                ours=there.server_version,
            ),
            hint=_("Restore to a server of PostgreSQL {wanted_major} or newer.", wanted_major=wanted_major),
        )
    else:
        yield Check(
            Level.OK,
            _(
                "PostgreSQL {server_version} takes a backup of {theirs}.",
                server_version=there.server_version,
                theirs=snapshot.server_version,
            ),
        )
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
                _(
                    "The server can't make a database like the one that was backed up: encoding {encoding}, locale {name}.",
                    encoding=snapshot.encoding,
                    name=name,
                ),
                said,
                _("Install the locale there, and restart PostgreSQL."),
            )
            if said
            else Check(Level.OK, _("Encoding {encoding} and locale {name} are there.", encoding=snapshot.encoding, name=name))
        )
    yield _room_check(snapshot, there)
    yield from _migration_check(manifest)


def _roles_checks(manifest: Manifest, target: Server, there: Target, choices: Choices) -> Iterable[Check]:
    snapshot = manifest.snapshot
    mapped = dict(choices.map_roles)
    if unknown := sorted(set(mapped.values()) - there.roles):
        yield Check(
            Level.BLOCK,
            _("There is no role {unknown} on the server to stand in for another.", unknown=", ".join(unknown)),
            hint=_("Correct --map-role."),
        )
    for old, new in choices.map_roles:
        if old in there.roles:
            yield Check(
                Level.BLOCK,
                _(
                    "The role {old} is on the server: nobody needs to act for it,"
                    " and nobody becomes a member of it by a restore.",
                    old=old,
                ),
                hint=_("Leave out --map-role {pair}.", pair=shlex.quote(f"{old}={new}")),
            )
        elif old not in snapshot.roles:
            yield Check(
                Level.BLOCK,
                _("The backup names no role {old}.", old=old),
                hint=_("Correct --map-role OLD=NEW: OLD is of the backup."),
            )
        else:
            yield Check(
                Level.WARN,
                _(
                    "The role {old} will be made, without login, with {new} as a member, and stays on the server.",
                    old=old,
                    new=new,
                ),
            )
    missing = sorted(set(snapshot.roles) - there.roles - set(mapped))
    if not missing:
        yield Check(
            Level.OK, _("The roles of the backup are there: {roles}.", roles=", ".join(snapshot.roles) or _("it names none"))
        )
        yield from _membership_check(snapshot, target, there, choices)
    elif not choices.keep_owners and not choices.keep_privileges:
        yield Check(
            Level.WARN,
            _("Owned by {user}, without privileges of {missing}, as chosen.", user=target.user, missing=", ".join(missing)),
        )
    else:
        create = "; ".join(f"CREATE ROLE {quoted(role)}" for role in missing)
        pair = shlex.quote(f"{missing[0]}={target.user}")
        yield Check(
            Level.BLOCK,
            _("The server has no role {missing}, which owns or may use something in this backup.", missing=", ".join(missing)),
            hint=joined(" ", _instead_of_roles(manifest, create=create, pair=pair, user=target.user)),
        )


def _instead_of_roles(manifest: Manifest, *, create: str, pair: str, user: str) -> Iterable[str]:
    yield _(
        "Create it there ({create}); or let another act for it: --map-role {pair};"
        " or give everything to {user}: --no-owner --no-privileges.",
        create=create,
        pair=pair,
        user=user,
    )
    if manifest.globals:
        yield _(
            "All roles of the old server, as SQL: icb db contents {filename} --globals",
            filename=manifest.filename,
        )


def _membership_check(snapshot: Snapshot, target: Server, there: Target, choices: Choices) -> Iterable[Check]:
    """https://www.postgresql.org/docs/current/sql-alterobject.html: who gives something away must be a member of who gets it."""
    others = sorted(set(snapshot.roles) & there.roles - there.roles_of_ours - {old for old, _new in choices.map_roles})
    if others and choices.keep_owners:
        yield Check(
            Level.WARN,
            _(
                "The role {user} is not a member of {others}, and can't make anything theirs.",
                user=target.user,
                others=", ".join(others),
            ),
            hint=_(
                "If it owns something in the backup, the restore fails, and touches nothing: GRANT {role} TO {user};"
                " or give everything to {whom}: --no-owner --no-privileges",
                role=quoted(others[0]),
                user=quoted(target.user),
                whom=target.user,
            ),
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
            _("The role {user} may not make a schema in {database}.", user=target.user, database=target.database),
            hint=_(
                "Let its owner run: GRANT CREATE ON DATABASE {database} TO {user}",
                database=quoted(target.database),
                user=quoted(target.user),
            ),
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
            _(
                "In {database} are views or foreign keys that are not in the backup and depend on what is,"
                " so that it can't be replaced in place.",
                database=target.database,
            ),
            detail="\n".join(f"{statement};" for statement in statements),
            hint=_("Run these statements first, if you don't need what they drop; or restore without --in-place."),
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
            _("The server can't install {missing}, which the backup needs.", missing=", ".join(missing)),
            hint=_("Install the packages of these extensions on the server."),
        )
    others = [
        _("{name} {there} instead of {version}", name=name, there=there.extensions[name], version=version)
        for name, version in snapshot.extensions
        if name in there.extensions and there.extensions[name] != version
    ]
    if others:
        yield Check(Level.WARN, _("Extensions come in another version: {others}.", others=joined(", ", others)))
    if snapshot.extensions and not missing and not others:
        yield Check(
            Level.OK, _("Extensions are there: {extensions}.", extensions=", ".join(f"{n} {v}" for n, v in snapshot.extensions))
        )


def _room_check(snapshot: Snapshot, there: Target) -> Check:
    needed = snapshot.database_size_bytes
    if there.free_bytes is None:
        return Check(
            Level.WARN, _("The server's free disk can't be seen from here; about {needed} are needed.", needed=words.size(needed))
        )
    if there.free_bytes < needed:
        return Check(
            Level.BLOCK,
            _(
                "The server's disk has {free_bytes} free; about {needed} more are needed.",
                free_bytes=words.size(there.free_bytes),
                needed=words.size(needed),
            ),
            hint=_("Make room on the server: what is there now is kept until the restore is proven, and after it."),
        )
    return Check(
        Level.OK,
        _(
            "Room on the server: {free_bytes} free, about {needed} needed.",
            free_bytes=words.size(there.free_bytes),
            needed=words.size(needed),
        ),
    )


def _migration_check(manifest: Manifest) -> Iterable[Check]:
    verdict = verdict_of(manifest)
    if verdict is None:
        yield Check(Level.WARN, _("The migrations of this code can't be read, so how the backup fits it is not known."))
    elif verdict.is_ours:
        level = Level.WARN if verdict.behind or verdict.unknown else Level.OK
        yield Check(level, _("Migrations: {verdict}.", verdict=verdict.words))
