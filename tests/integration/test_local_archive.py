"""An archive in a file: proven by the manifest beside it, or taken as it is where somebody says so."""

import os
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import catalog
from backups.exceptions import ArchiveError, BackupsError, ChecksumError, RefusedError, StorageError, UsageError
from backups.storage import keys
from backups.storage.local import LocalStore
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("backups_settings")


@pytest.fixture
def folder(tmp_path: Path) -> LocalStore:
    """Where the file lies: not the configured folder."""
    return LocalStore(tmp_path / "downloads")


def file(folder: LocalStore, **odd: object) -> Path:
    return folder.path(shelf.put("taken", store=folder, row=False, **odd))  # type: ignore[arg-type]


@pytest.mark.parametrize("trust_unsigned", [False, True])
def test_a_file_with_its_manifest_is_proven_whatever_its_name(trust_unsigned: bool, folder: LocalStore) -> None:
    path = file(folder)
    renamed = path.with_name("before the flood.dump")
    path.rename(renamed)
    path.with_name(path.name + ".json").rename(renamed.with_name(renamed.name + ".json"))

    found = catalog.from_file(renamed, trust_unsigned=trust_unsigned)

    assert found.path == renamed
    assert found.location == str(renamed)
    assert found.manifest is not None
    assert keys.filename_of(found.manifest.key) == path.name


def test_a_relative_path_and_a_link_are_followed(folder: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(folder)
    for name in ("link.dump", "link.dump.json"):
        path.with_name(name).symlink_to(path.name + name.removeprefix("link.dump"))
    monkeypatch.chdir(path.parent)
    found = catalog.from_file(Path("link.dump"), trust_unsigned=False)
    assert found.path == path.with_name("link.dump")
    assert found.manifest is not None


def test_a_file_without_a_manifest_is_refused_and_the_way_on_is_named_with_its_danger(folder: LocalStore) -> None:
    path = file(folder, manifest=False)
    with pytest.raises(RefusedError) as refused:
        catalog.from_file(path, trust_unsigned=False)
    assert refused.value.exit_code == 3
    assert f"There is no {path}.json" in refused.value.detail
    assert "--trust-unsigned" in refused.value.hint
    assert "CVE-2026-116314" in refused.value.hint

    assert catalog.from_file(path, trust_unsigned=True) == catalog.LocalArchive(path, None)


def test_a_file_whose_manifest_is_signed_by_another_is_refused_and_says_what_to_set(folder: LocalStore) -> None:
    path = file(folder, signing_key=b"another site's")
    with pytest.raises(RefusedError) as refused:
        catalog.from_file(path, trust_unsigned=False)
    assert "another key" in refused.value.detail
    assert "set BACKUPS_SIGNING_KEY, for this one command" in refused.value.hint
    assert "--trust-unsigned" in refused.value.hint

    assert catalog.from_file(path, trust_unsigned=True).manifest is None


@pytest.mark.parametrize("made", ["changed", "no JSON", "a folder", "a pipe"])
def test_a_manifest_that_proves_nothing_is_as_none(made: str, folder: LocalStore) -> None:
    path = file(folder)
    beside = path.with_name(path.name + ".json")
    data = beside.read_bytes()
    beside.unlink()
    if made == "a folder":
        beside.mkdir()
    elif made == "a pipe":
        os.mkfifo(beside)
    else:
        beside.write_bytes(data.replace(b'"rows": 5000', b'"rows": 5001') if made == "changed" else b"nothing")

    with pytest.raises(RefusedError, match="Nothing proves"):
        catalog.from_file(path, trust_unsigned=False)
    assert catalog.from_file(path, trust_unsigned=True).manifest is None


def test_without_a_signing_key_of_ours_nothing_is_proven(folder: LocalStore, backups_settings: Settings) -> None:
    path = file(folder)
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SIGNING_KEY": ""}
    with pytest.raises(RefusedError) as refused:
        catalog.from_file(path, trust_unsigned=False)
    assert "There is no signing key" in refused.value.detail
    assert catalog.from_file(path, trust_unsigned=True).manifest is None


@pytest.mark.parametrize("trust_unsigned", [False, True])
def test_a_file_of_another_size_than_its_manifest_tells_is_refused(trust_unsigned: bool, folder: LocalStore) -> None:
    path = file(folder, dump=shelf.BODY[:-1])
    with pytest.raises(ChecksumError, match="has 1,004 bytes, not 1,005"):
        catalog.from_file(path, trust_unsigned=trust_unsigned)


def test_an_unsigned_file_that_pg_dump_did_not_make_is_no_archive(folder: LocalStore) -> None:
    path = file(folder, dump=b"-- PostgreSQL database dump", manifest=False)
    with pytest.raises(ArchiveError, match="no archive as pg_dump --format=custom makes it"):
        catalog.from_file(path, trust_unsigned=True)


@pytest.mark.parametrize("trust_unsigned", [False, True])
@pytest.mark.parametrize(
    ("made", "kind", "told"),
    [
        ("missing", UsageError, "There is no file "),
        ("folder", UsageError, " is a folder. Name the file in it."),
        ("empty", UsageError, " is empty."),
        ("pipe", UsageError, " is not a file."),
        ("loop", StorageError, " can't be read: Too many levels of symbolic links."),
        ("\0", StorageError, " can't be read: embedded null byte."),
        ("x" * 300, StorageError, " can't be read: File name too long."),
    ],
)
def test_what_is_no_file_to_restore_from_is_told_in_one_line(
    made: str, kind: type[Exception], told: str, trust_unsigned: bool, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(kind) as refused:
        catalog.from_file(tmp_path / made, trust_unsigned=trust_unsigned)
    assert isinstance(refused.value, BackupsError)
    assert told in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(folder: LocalStore) -> None:
    path = file(folder)
    path.chmod(0)
    with pytest.raises(StorageError, match="can't be read: Permission denied"):
        catalog.from_file(path, trust_unsigned=False)
