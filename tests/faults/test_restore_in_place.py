"""A restore in place that does not come out equal: what is there now is said, and how to come back from it."""

import pytest

from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, ComparisonError
from backups.models import BackupHistory, BackupRestore
from backups.plan import Choices
from backups.restore import DatabaseRestore
from backups.types import Server
from tests.conftest import connect
from tests.faults.conftest import PlaceProgram

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
    assert "was not backed up just before, as you chose" in caught.value.detail


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
