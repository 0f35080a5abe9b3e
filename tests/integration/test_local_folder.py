"""A local folder whose disk is not mounted is still there, and looks empty: it is not asked, and nothing is put into it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import catalog
from backups.catalog import Mark
from backups.exceptions import StorageError
from backups.models import BackupHistory
from backups.storage.folder_mark import NAME
from backups.stores import configured
from tests.conftest import keys_in
from tests.integration import shelf
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def kept(bucket: str, local_folder: Path) -> BackupHistory:
    """A backup that only the local folder has."""
    store = configured().require_local()
    key = shelf.put("kept", store=store)
    BackupHistory.objects.update(local_path=store.location(key))
    return BackupHistory.objects.get()


@pytest.fixture
def unmount(local_folder: Path, tmp_path: Path) -> Callable[[], None]:
    """What the folder holds goes elsewhere, as with a disk; the folder stays."""

    def unmount() -> None:
        local_folder.rename(tmp_path / "the disk")
        local_folder.mkdir()

    return unmount


def marks() -> list[Mark]:
    return [entry.mark for entry in catalog.list_backups().entries]


def test_nothing_is_called_missing_while_its_folder_is_not_mounted(
    run: Run, kept: BackupHistory, unmount: Callable[[], None], local_folder: Path, tmp_path: Path
) -> None:
    unmount()
    done = run("db_sync")

    assert done.code == 1
    assert "is not the one that it was" in done.err
    assert "Mount it." in done.err
    assert done.err.count("is not the one that it was") == 1
    kept.refresh_from_db()
    assert kept.missing_at is None
    assert marks() == [Mark.UNASKED]
    assert run("db_list").code == 1

    local_folder.rmdir()
    (tmp_path / "the disk").rename(local_folder)
    assert run("db_sync").out.startswith("Bucket and history agree.")
    assert marks() == [Mark.NONE]


def test_a_backup_into_a_folder_that_is_not_mounted_is_refused_before_the_dump(
    run: Run,
    source: object,
    kept: BackupHistory,
    unmount: Callable[[], None],
    local_folder: Path,
    bucket: str,
    backups_settings: Settings,
) -> None:
    unmount()
    done = run("db_backup", "nightly", "--database", "source", "--save-local")

    assert (done.code, "is not the one that it was" in done.err) == (1, True)
    assert list(local_folder.rglob("*")) == []
    assert keys_in(backups_settings, bucket) == []
    assert BackupHistory.objects.get(description="nightly").status == "failed"


def test_a_backup_into_the_bucket_alone_does_not_need_the_folder(
    run: Run, source: object, kept: BackupHistory, unmount: Callable[[], None]
) -> None:
    unmount()
    assert run("db_backup", "nightly", "--database", "source").code == 0


def test_a_prune_is_refused_while_the_folder_is_not_mounted(kept: BackupHistory, unmount: Callable[[], None], run: Run) -> None:
    unmount()
    done = run("db_prune", "--dry-run")
    assert (done.code, "is not the one that it was" in done.err) == (1, True)


def test_a_copy_by_name_is_not_called_unknown_while_the_folder_is_not_mounted(
    kept: BackupHistory, unmount: Callable[[], None]
) -> None:
    unmount()
    with pytest.raises(StorageError, match="is not the one that it was"):
        catalog.find(kept.filename, environment="testing", database="shop")


def test_a_copy_that_is_gone_from_its_own_folder_is_missing(run: Run, kept: BackupHistory) -> None:
    shutil.rmtree(Path(kept.local_path).parent)
    assert f"Whole in no store any more, marked as missing: 1\n  {kept.filename}" in run("db_sync").out


def test_a_folder_that_is_lost_for_good_is_said_to_be_so_by_making_its_mark(
    run: Run, kept: BackupHistory, unmount: Callable[[], None], local_folder: Path, bucket: str
) -> None:
    unmount()
    (local_folder / bucket).mkdir()
    (local_folder / bucket / NAME).touch()
    assert "Whole in no store any more, marked as missing: 1" in run("db_sync").out


def test_a_folder_from_before_there_were_marks_gets_its_mark_silently(run: Run, kept: BackupHistory, local_folder: Path) -> None:
    (mark,) = local_folder.rglob(NAME)
    mark.unlink()
    assert run("db_sync").out.startswith("Bucket and history agree.")
    assert mark.exists()


def test_a_folder_that_was_never_used_is_no_problem(run: Run, bucket: str, local_folder: Path) -> None:
    shelf.put("in the bucket")
    assert run("db_list").code == 0
    assert not local_folder.exists()


def test_a_copy_of_another_environment_does_not_vouch_for_the_folder(run: Run, bucket: str, local_folder: Path) -> None:
    path = local_folder / bucket / "production" / "postgres" / "backup-2024-01-15T1200-x.dump"
    shelf.put("theirs", environment="production", local_path=str(path))
    assert run("db_list").code == 0


def test_a_sync_of_an_empty_history_finds_where_the_local_copies_are(run: Run, kept: BackupHistory) -> None:
    BackupHistory.objects.all().delete()
    assert run("db_sync").code == 0
    assert BackupHistory.objects.get().local_path == kept.local_path
