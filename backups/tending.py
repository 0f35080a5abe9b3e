"""Settles runs that died, without waiting for the next run: what the scheduler does each minute.

Who is dead is judged by what a dead process can't hold: its session on the server of the history, and its lock.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

from django.db import Error as DatabaseError
from django.db import connections

from backups import conf, history, stores
from backups.exceptions import BackupsError, RunningError
from backups.models import BackupHistory, BackupRestore
from backups.postgres import databases
from backups.postgres.lock import run_lock
from backups.postgres.place import place_of
from backups.reaping import checking_and_dead, remove_orphans, settle_lost_restores, settle_lost_runs
from backups.types import Server

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Tended:
    """What was found dead and has its final state now, and what could not be asked or removed."""

    backups: list[BackupHistory] = field(default_factory=list)
    restores: list[BackupRestore] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def tend() -> Tended:
    """Settles every dead backup, restore and verification of this environment on the site's servers.

    One server that is away holds up no other. A restore onto a server that the settings do not name is settled by the next
    restore there. Raises HistoryError and ConfigurationError.
    """
    tended = Tended()
    for server in _databases_of(_dead_backups()):
        with _noting(tended.problems, server.address):
            tended.backups += _settle_backups(server)
    for server in _servers() if _has_unfinished_restores() else ():
        with _noting(tended.problems, server.address):
            tended.restores += _settle_restores(server)
    with _noting(tended.problems, "the stores"):
        remove_orphans(stores.configured())
    return tended


@contextmanager
def _noting(problems: list[str], where: str) -> Iterator[None]:
    """What fails there is noted, and holds nothing else up."""
    try:
        yield
    except RunningError:
        pass  # whoever is at work there settles what is dead, too
    except BackupsError as error:
        problems.append(f"{where}: {error}")
        logger.warning("Dead runs could not be settled; %s", problems[-1])


def _dead_backups() -> list[BackupHistory]:
    """Those of which no process says that it is alive. Whether a running one is dead is for its lock to say."""
    rows = BackupHistory.objects.of_environment(conf.current().environment)
    try:
        running = list(rows.running())  # before who is alive is asked: whoever has begun was alive before its row said so
        alive = databases.backups_alive(history.server()) if running else set()
        return [*(run for run in running if str(run.id) not in alive), *checking_and_dead(rows)]
    except DatabaseError as error:
        raise history.unreachable(error) from error


def _databases_of(runs: list[BackupHistory]) -> list[Server]:
    names = {run.database for run in runs}
    return [server for server in _configured() if server.database in names]


def _settle_backups(server: Server) -> list[BackupHistory]:
    with run_lock(server, run_id=str(uuid4()), doing="tidy") as session:
        here = place_of(session, server)
        return settle_lost_runs(session, database=server.database, here=here, stores=stores.configured())


def _has_unfinished_restores() -> bool:
    try:
        return BackupRestore.objects.begun().exists()
    except DatabaseError as error:
        raise history.unreachable(error) from error


def _settle_restores(server: Server) -> list[BackupRestore]:
    nobody = BackupRestore(id=uuid4())
    scratch = conf.current().scratch_folder or Path(gettempdir())
    with databases.restoring(server, run_id=str(nobody.id)) as session:
        return settle_lost_restores(session, nobody, target=server, scratch=scratch)


def _servers() -> list[Server]:
    """One database of each server that the settings name."""
    return list({(server.host, server.port): server for server in reversed(_configured())}.values())


def _configured() -> list[Server]:
    """The databases that the settings name, each once; an alias that can't be backed up has no runs."""
    found: dict[tuple[str, int, str], Server] = {}
    for alias in connections:
        try:
            server = conf.server(alias)
        except BackupsError:
            continue
        found.setdefault((server.host, server.port, server.database), server)
    return list(found.values())
