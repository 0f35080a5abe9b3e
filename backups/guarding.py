"""A backup before migrations that remove or alter what is there. `manage.py migrate` asks here; destructive.py judges.

The migrations of this very app are not guarded when they are applied: they concern the history alone, which `icb db sync` makes
again from the bucket, and until they are applied no backup has a row to write.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import _TestState

from backups import conf, stores
from backups.backup import DatabaseBackup
from backups.destructive import Judged, Step, judged
from backups.exceptions import BackupsError, RefusedError
from backups.models import BackupHistory, BackupType
from backups.postgres.connect import connected
from backups.postgres.emptiness import has_rows
from backups.storage.keys import MAX_DESCRIPTION
from backups.types import OnProgress, silent

OURS = BackupHistory._meta.app_label
WITHOUT = "Nothing was migrated. To migrate without a backup: --without-backup (or BACKUPS_GUARD_MIGRATIONS=off)."
SHOWN = 10  # migrations that are named; of more, the number is told


def is_on() -> bool:
    """Whether migrations are guarded: not where the settings say off, and not in tests.

    A test database is made and thrown away by the test runner; nobody would miss what is in it.
    """
    return conf.current().guard_migrations != "off" and not hasattr(_TestState, "saved_data")


def needed(plan: Sequence[Step], *, alias: str) -> list[Judged]:
    """Those migrations of a plan that a backup has to come before; none where the database has no row to lose.

    Raises BackupsError where it can't be told.
    """
    always = conf.current().guard_migrations == "always"
    found = [
        one
        for one, (migration, backwards) in zip(_judged(plan, alias), plan, strict=True)
        if (one.reasons or always) and (backwards or migration.app_label != OURS)
    ]
    with _says_how_to_go_on():
        return found if found and (not can_back_up(alias) or _has_rows(alias)) else []


def can_back_up(alias: str) -> bool:
    """Only PostgreSQL is backed up."""
    return connections[alias].vendor == "postgresql"


def comes_first(alias: str) -> bool:
    """Whether this app's own migrations have to be applied before the others, so that the backup before those has its row."""
    if alias != _home_of_history() or not history_is_behind():
        return False
    executor = MigrationExecutor(connections[alias])
    return bool(needed(executor.migration_plan(executor.loader.graph.leaf_nodes()), alias=alias))


def history_is_behind() -> bool:
    """Whether this app has migrations that the database of its history lacks."""
    executor = MigrationExecutor(connections[_home_of_history()])
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == OURS]
    return any(migration.app_label == OURS for migration, _backwards in executor.migration_plan(targets))


def back_up(guarded: Sequence[Judged], *, plan: Sequence[Step], alias: str, on_progress: OnProgress = silent) -> BackupHistory:
    """Makes the backup and returns its row, which names every migration of the plan.

    Raises RefusedError where the history can't have that row yet, and BackupsError as the backup does; each tells that nothing
    was migrated and how to go on without.
    """
    with _says_how_to_go_on():
        if history_is_behind():
            raise RefusedError(
                "A backup has to come before these migrations, and the tables of its history are behind this code.",
                detail=as_text(guarded),
                hint=f"First: manage.py migrate {OURS} --database {_home_of_history()}",
            )
        has_bucket = stores.configured().s3 is not None
        return DatabaseBackup(
            description=description(guarded),
            database=alias,
            upload_to_s3=has_bucket,
            save_local=not has_bucket,
            backup_type=BackupType.PRE_MIGRATION,
            guards=[f"{migration.app_label}.{migration.name}" for migration, _backwards in plan],
            on_progress=on_progress,
        ).run()


def description(guarded: Sequence[Judged]) -> str:
    """before-shop-0005_drop_price, as short as a description has to be."""
    name = next((one.name for one in guarded if one.reasons), guarded[0].name)
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "-" for letter in name)
    return f"before-{plain}"[:MAX_DESCRIPTION].rstrip("-")


def as_text(guarded: Sequence[Judged]) -> str:
    """A line for each migration, with what it removes or alters."""
    lines = [f"{one.name}: {', '.join(one.reasons)}" if one.reasons else one.name for one in guarded[:SHOWN]]
    more = len(guarded) - SHOWN
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def _judged(plan: Sequence[Step], alias: str) -> list[Judged]:
    loader = MigrationLoader(connections[alias])
    applied = [key for key in loader.graph.nodes if key in loader.applied_migrations]
    return judged(
        plan,
        state=loader.project_state(applied),
        allowed=lambda app, model, **hints: router.allow_migrate(alias, app, **hints | ({"model_name": model} if model else {})),
    )


def _has_rows(alias: str) -> bool:
    with connected(conf.server(alias), application_name="migrate: looking") as session:
        return has_rows(session, but_for=MigrationRecorder.Migration._meta.db_table)


def _home_of_history() -> str:
    return router.db_for_write(BackupHistory)


@contextmanager
def _says_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except BackupsError as error:
        error.hint = f"{error.hint}\n{WITHOUT}".strip()
        raise
