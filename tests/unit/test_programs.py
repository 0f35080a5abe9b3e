"""Which client program: chosen by version, found where it should be looked for, and nowhere else."""

import os
from pathlib import Path

import pytest

from backups.exceptions import ClientProgramError
from backups.postgres import programs
from backups.postgres.programs import ClientProgram, dump_fitting, find, major_of, minor_of, restore_fitting, warning_of
from ichrisbirch_site import embedded

FAKE = '#!/bin/sh\n[ "$1" = --version ] || { echo "$0: error: this build does not support compression with zstd" >&2; exit 1; }\n'


def of(*versions: str) -> list[ClientProgram]:
    """Programs of these versions, in the order in which they were found."""
    return [
        ClientProgram(path=f"/{number}/program", version=version, major=major_of(version))
        for number, version in enumerate(versions)
    ]


@pytest.mark.parametrize(
    ("server", "found", "chosen"),
    [
        (17, ["17.10"], "17.10"),
        (15, ["17.10", "15.18", "16.1"], "15.18"),  # its own
        (14, ["17.10", "15.18"], "15.18"),  # else the lowest newer one
        (16, ["17.10", "15.18"], "17.10"),
        (17, ["17.2", "17.10"], "17.2"),  # of two, the first: configured folders come first
        (17, ["17.10", "17.13", "17.12"], "17.13"),  # of two, one without a known fault
        (16, ["16.15", "17.12"], "16.15"),  # which the major version comes before
        (18, ["18beta1"], "18beta1"),
    ],
)
def test_pg_dump_is_of_the_servers_version_or_the_lowest_newer_one(server: int, found: list[str], chosen: str) -> None:
    assert dump_fitting(server, found=of(*found)).version == chosen


@pytest.mark.parametrize(
    ("archive", "target", "found", "chosen"),
    [
        (17, 17, ["17.10", "15.18"], "17.10"),
        (15, 17, ["17.10", "15.18"], "17.10"),  # the target's own
        (15, 16, ["15.18", "16.3", "17.10"], "16.3"),  # the newest that is not newer than the target
        (15, 15, ["17.10", "15.18"], "15.18"),
        (17, 15, ["17.10", "15.18"], "17.10"),  # newer than the target, where nothing else reads the archive
        (16, 15, ["18.1", "17.10"], "17.10"),
        (17, 17, ["17.10", "17.12"], "17.12"),  # of two, the one without a known fault
        (16, 15, ["17.10", "17.12"], "17.12"),
    ],
)
def test_pg_restore_reads_the_archive_and_is_not_newer_than_the_target_where_that_can_be_had(
    archive: int, target: int, found: list[str], chosen: str
) -> None:
    assert restore_fitting(archive, target_major=target, found=of(*found)).version == chosen


def test_a_server_newer_than_every_pg_dump_is_refused_with_both_versions() -> None:
    with pytest.raises(ClientProgramError) as refused:
        dump_fitting(17, found=of("15.18", "16.3"))

    assert "the server is PostgreSQL 17" in refused.value.message
    assert "15.18 (/0/program), 16.3 (/1/program)" in refused.value.detail
    assert "postgresql-client-17" in refused.value.hint
    assert "BACKUPS_CLIENT_FOLDERS" in refused.value.hint


def test_an_archive_newer_than_every_pg_restore_is_refused_with_both_versions() -> None:
    with pytest.raises(ClientProgramError) as refused:
        restore_fitting(17, target_major=17, found=of("15.18"))

    assert "made by pg_dump 17" in refused.value.message
    assert "15.18" in refused.value.detail


def test_where_there_is_no_program_at_all_it_says_so() -> None:
    with pytest.raises(ClientProgramError) as refused:
        dump_fitting(16, found=[])
    assert refused.value.detail == "Found: none."


def test_a_version_that_nobody_has_tested_is_refused_and_not_tried() -> None:
    with pytest.raises(ClientProgramError, match="knows PostgreSQL up to 18"):
        dump_fitting(19, found=of("19.0"))
    with pytest.raises(ClientProgramError, match="pg_dump 17 to 18 is needed"):
        dump_fitting(17, found=of("19.0"))


@pytest.mark.parametrize(("version", "major"), [("17.10", 17), ("18beta1", 18), ("9.6.24", 9), ("", 0), ("devel", 0)])
def test_the_major_version_is_the_number_before_the_first_point(version: str, major: int) -> None:
    assert major_of(version) == major


@pytest.mark.parametrize(("version", "minor"), [("17.10", 10), ("15.18 (Debian 15.18-0+deb12u1)", 18), ("18beta1", 0), ("", 0)])
def test_the_minor_version_is_the_number_after_the_first_point(version: str, minor: int) -> None:
    assert minor_of(version) == minor


@pytest.mark.parametrize("version", ["18.6", "17.11", "17.9", "16.15", "15.19", "14.24", "18beta1"])
def test_a_version_below_the_fix_of_a_known_fault_is_warned_of(version: str) -> None:
    (program,) = of(version)
    assert program.is_below_known_fix
    assert version in warning_of(program)
    assert "CVE-2026-116314" in warning_of(program)


@pytest.mark.parametrize("version", ["18.7", "17.12", "17.13", "16.16", "15.20", "14.25", "19.0"])
def test_a_version_with_the_fix_is_not_warned_of(version: str) -> None:
    (program,) = of(version)
    assert not program.is_below_known_fix
    assert warning_of(program) == ""


def test_the_warning_names_the_version_with_the_fix_and_what_to_install() -> None:
    warning = warning_of(ClientProgram(path="/usr/bin/pg_restore", version="17.6", major=17))

    assert "pg_restore 17.6" in warning
    assert "install 17.12 or newer" in warning
    assert "Restore only backups of your own" in warning
    assert "apt install postgresql-client-17" in warning


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore"])
def test_on_this_machine_it_finds_the_wheels_programs_and_the_distributions(name: str) -> None:
    found = find(name, folders=embedded.client_folders())
    installed = {major_of(folder.parent.name) for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / name).exists()}

    assert found[0].major == 17
    assert {program.major for program in found} == {17} | installed
    assert all(Path(program.path).is_absolute() for program in found)


def test_the_wheels_pg_dump_has_zstd() -> None:
    assert find("pg_dump", folders=embedded.client_folders())[0].has_zstd


def test_debians_wrapper_is_left_out_wherever_it_is_linked_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = fake(tmp_path / "share", "16.1", name="pg_wrapper")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pg_dump").symlink_to(wrapper)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert "16.1" not in versions(find("pg_dump", folders=[str(tmp_path / "bin")]))
    if Path("/usr/bin/pg_dump").exists():
        assert "/usr/bin/pg_dump" not in [program.path for program in find("pg_dump", folders=["/usr/bin"])]


def test_configured_folders_come_before_the_distributions_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "configured", "16.2")
    fake(tmp_path / "path", "16.1")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))

    found = versions(find("pg_dump", folders=[str(tmp_path / "configured")]))
    assert (found[0], found[-1]) == ("16.2", "16.1")


def test_a_relative_entry_of_path_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "here", "16.1")
    monkeypatch.chdir(tmp_path / "here")
    for path in ("", ".", "../here"):
        monkeypatch.setenv("PATH", path)
        assert "16.1" not in versions(find("pg_dump", folders=[]))


def test_a_program_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    folders = []
    for number, text in enumerate(["#!/nonexistent/interpreter\n", "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "\x7fELF"]):
        folders.append(tmp_path / str(number))
        program = fake(folders[-1], "1")
        program.write_text(text)
    (tmp_path / "no program" / "pg_dump").mkdir(parents=True)
    fake(tmp_path / "not executable", "16.1").chmod(0o644)
    folders += [tmp_path / "no program", tmp_path / "not executable", tmp_path / "no folder"]

    assert find("pg_dump", folders=[str(folder) for folder in folders]) == find("pg_dump", folders=[])


def test_a_link_to_the_same_program_counts_once(tmp_path: Path) -> None:
    program = fake(tmp_path / "one", "16.1")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "pg_dump").symlink_to(program)

    found = find("pg_dump", folders=[str(tmp_path / "one"), str(tmp_path / "two")])
    assert versions(found).count("16.1") == 1


def test_a_program_that_was_updated_is_asked_again(tmp_path: Path) -> None:
    program = fake(tmp_path, "16.1")
    assert versions(find("pg_dump", folders=[str(tmp_path)]))[0] == "16.1"
    program.write_text(program.read_text().replace("16.1", "16.2"))
    os.utime(program, ns=(1, 1))  # some file systems tell milliseconds apart, and no less
    assert versions(find("pg_dump", folders=[str(tmp_path)]))[0] == "16.2"


def test_a_build_without_zstd_is_recognised_and_its_version_read_with_what_the_packager_added(tmp_path: Path) -> None:
    fake(tmp_path, "16.1 (Debian 16.1-1.pgdg120+1)")
    found = find("pg_dump", folders=[str(tmp_path)])[0]
    assert (found.version, found.major, found.has_zstd) == ("16.1", 16, False)
    assert found.path == str(tmp_path / "pg_dump")


def test_choosing_among_files_is_choosing_among_what_was_found() -> None:
    folders = embedded.client_folders()
    assert programs.choose_pg_dump(17, folders=folders) == dump_fitting(17, found=find("pg_dump", folders=folders))
    assert programs.choose_pg_restore(archive_major=17, target_major=17, folders=folders).major == 17


def fake(folder: Path, version: str, *, name: str = "pg_dump") -> Path:
    """A program that says that it is PostgreSQL's, of that version, without zstd."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"{FAKE}echo 'pg_dump (PostgreSQL) {version}'\n")
    program.chmod(0o755)
    return program


def versions(found: list[ClientProgram]) -> list[str]:
    return [program.version for program in found]
