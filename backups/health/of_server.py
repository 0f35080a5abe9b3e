"""A server and its databases: do the client programs here fit it, are the clocks one, can our role read everything?"""

from collections.abc import Iterator

from backups import conf
from backups.exceptions import ClientProgramError
from backups.health.of_machine import clock
from backups.health.sites import Site
from backups.postgres import programs
from backups.postgres.programs import ClientProgram
from backups.postgres.vitals import Vitals, unreadable, vitals
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.thresholds import Thresholds
from backups.types import Check, Server, State

SHOWN = 3  # statements in a hint


def about(server: Server) -> tuple[tuple[str, str], ...]:
    """Id and subject of its checks."""
    return ("client-programs", place_of(server)), ("clock", place_of(server))


def checks(server: Server, limits: Thresholds) -> Iterator[Check]:
    """Of one server, by one of its databases. Raises ConnectError, PostgresError."""
    found, place = vitals(server), place_of(server)
    yield _programs(found, place)
    yield clock(place, found.clock_ahead_seconds, limits)


def role(site: Site) -> Iterator[Check]:
    """Whether our role can read all of a database. Raises ConnectError, PostgresError."""
    refused = unreadable(site.server)
    if refused is None:
        text, hint = _("our role can read everything"), ""
    else:
        statements: list[str] = refused.detail.split("\n")
        more: list[str] = (
            [_("-- and {more} more: icb db coverage", more=len(statements) - SHOWN)] if len(statements) > SHOWN else []
        )
        text, hint = _("our role can't read everything, so no backup can be made"), joined("\n", statements[:SHOWN] + more)
    yield Check(
        id="backup-role",
        subject=site.name,
        state=State.BAD if refused else State.OK,
        text=text,
        threshold=_("anything it can't read"),
        hint=hint,
    )


def place_of(server: Server) -> str:
    """host:port, as people name a server."""
    return server.address.rpartition("/")[0].rpartition("@")[2]


def _programs(found: Vitals, place: str) -> Check:
    threshold = _("older than the server, or with {fix}", fix=programs.KNOWN_FIX)
    try:
        chosen = _chosen(programs.major_of(found.version))
    except ClientProgramError as error:
        text = joined(" ", (error.message, error.detail))
        return Check(id="client-programs", subject=place, state=State.BAD, text=text, threshold=threshold, hint=error.hint)
    warnings = [warning for program in chosen if (warning := programs.warning_of(program))]
    dump, restore = chosen
    return Check(
        id="client-programs",
        subject=place,
        state=State.BAD if warnings else State.OK,
        text=_(
            "pg_dump {dump} and pg_restore {restore} for PostgreSQL {server}",
            dump=dump.version,
            restore=restore.version,
            server=found.version,
        ),
        threshold=threshold,
        hint=joined("\n", warnings),
    )


def _chosen(major: int) -> tuple[ClientProgram, ClientProgram]:
    folders = conf.current().client_folders
    dump = programs.choose_pg_dump(major, folders=folders)
    return dump, programs.choose_pg_restore(archive_major=dump.major, target_major=major, folders=folders)
