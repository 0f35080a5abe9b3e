"""A restore in place that does not come out equal: what is there now is said, and how to come back from it."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, ComparisonError, LoadError
from backups.models import BackupHistory, BackupRestore
from backups.plan import Choices
from backups.restore import DatabaseRestore
from backups.types import Server
from tests.conftest import Gate, PlaceProgram, connect, until

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def backup(source: Server, bucket: str) -> BackupHistory:
    """A whole backup of `source`."""
    return DatabaseBackup(description="good", database="source").run()


def restore_in_place(backup: BackupHistory, target: Server, *, safety_backup: bool = True) -> BackupRestore:
    return DatabaseRestore(
        filename=backup.filename,
        target=target,
        confirm=target.database,
        choices=Choices(in_place=True),
        safety_backup=safety_backup,
    ).run()


@pytest.fixture
def _loads_too_little(place_program: PlaceProgram) -> None:
    place_program('exec "$real" --schema-only "$@"', name="pg_restore")


@pytest.mark.usefixtures("_loads_too_little")
def test_what_is_there_now_and_the_command_back_are_told(backup: BackupHistory, source: Server) -> None:
    with pytest.raises(ComparisonError) as caught:
        restore_in_place(backup, source)

    safety = BackupHistory.objects.get(backup_type="pre-restore")
    assert f"{source.database} now holds what was loaded, not proven." in caught.value.detail
    assert f"icb db restore {safety.filename} --in-place --target-dbname {source.database}" in caught.value.detail
    assert "not put in place" not in str(caught.value)
    assert BackupRestore.objects.get().safety_backup == safety.filename


@pytest.mark.usefixtures("_loads_too_little")
def test_without_a_safety_backup_none_is_promised(backup: BackupHistory, source: Server) -> None:
    with pytest.raises(ComparisonError) as caught:
        restore_in_place(backup, source, safety_backup=False)
    assert "was not backed up just before;" in caught.value.detail


def test_a_safety_backup_that_fails_is_the_end_and_says_how_to_go_on(
    backup: BackupHistory, source: Server, place_program: PlaceProgram
) -> None:
    place_program("exit 1", name="pg_dump")
    with pytest.raises(BackupsError) as caught:
        restore_in_place(backup, source)

    assert f"the backup of what is in {source.database} now; nothing in it was changed" in caught.value.hint
    assert "--no-safety-backup" in caught.value.hint
    with connect(source) as session:
        assert session.execute("SELECT count(*) FROM event").fetchone() == (5000,)


def test_a_signal_right_after_the_commit_is_not_called_untouched(
    backup: BackupHistory, source: Server, place_program: PlaceProgram
) -> None:
    place_program('"$real" "$@"; exit 1', name="pg_restore")  # as if its end had not been heard of
    with pytest.raises(LoadError) as caught:
        restore_in_place(backup, source)
    assert f"{source.database} now holds what was loaded, not proven." in caught.value.detail


def test_who_comes_in_the_middle_and_holds_a_lock_is_sent_away(
    backup: BackupHistory,
    source: Server,
    place_program: PlaceProgram,
    tmp_path: Path,
    meanwhile: Callable[[Callable[[], object]], Future[object]],
) -> None:
    gate = Gate(tmp_path)
    place_program(gate.script + 'exec "$real" "$@"', name="pg_restore")

    def hold_a_lock_until_sent_away() -> str:
        gate.wait()
        with suppress(psycopg.OperationalError), connect(source) as session:
            session.execute("BEGIN; SELECT count(*) FROM event")
            gate.open()
            until(lambda: session.execute("SELECT 1").fetchone() is None)
        return "sent away"

    holding = meanwhile(hold_a_lock_until_sent_away)
    assert restore_in_place(backup, source, safety_backup=False).status == "succeeded"
    assert holding.result() == "sent away"


def test_other_tables_of_the_schema_admin_come_back_in_place(backup: BackupHistory, source: Server, bucket: str) -> None:
    with connect(source) as session:
        session.execute("CREATE SCHEMA admin; CREATE TABLE admin.customer AS SELECT n FROM generate_series(1, 100) n")
    made = DatabaseBackup(description="with admin", database="source").run()
    with connect(source) as session:
        session.execute("DELETE FROM admin.customer")
    restore_in_place(made, source)
    with connect(source) as session:
        assert session.execute("SELECT count(*) FROM admin.customer").fetchone() == (100,)
