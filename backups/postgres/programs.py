"""Finds client programs (pg_dump, pg_restore) and chooses the one that fits a server.

https://www.postgresql.org/docs/current/app-pgdump.html: pg_dump dumps from servers of its own major version and older;
its output loads into servers of its own version and newer, and often, but not certainly, into older ones.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from glob import glob
from pathlib import Path

from backups.exceptions import ClientProgramError
from backups.sentences import sentence as _

NEWEST_MAJOR = 18  # the newest whose archive format was read and tested here
DISTRIBUTION_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/libpq/bin",
    "/usr/libexec/postgresql*",  # Alpine
)

# The first minor version of each major one that is without CVE-2026-116314: before, whoever can write an archive runs programs
# where pg_restore reads it. https://www.postgresql.org/support/security/CVE-2026-116314/
KNOWN_FIX = "CVE-2026-116314"
FIXED_IN = {18: 7, 17: 12, 16: 16, 15: 20, 14: 25}


@dataclass(frozen=True, kw_only=True)
class ClientProgram:
    """An executable with its version: "17.10", and 17 as its major."""

    path: str
    version: str
    major: int
    has_zstd: bool = False

    @property
    def is_below_known_fix(self) -> bool:
        """Whether it is older than FIXED_IN says for its major version; a beta of that version is."""
        return minor_of(self.version) < FIXED_IN.get(self.major, 0)


def warning_of(program: ClientProgram) -> str:
    """What whoever uses this program should be told, in a line; empty when nothing is known against it."""
    if not program.is_below_known_fix:
        return ""
    name, major = Path(program.path).name, program.major
    of = {"version": program.version, "fault": KNOWN_FIX, "fixed": f"{major}.{FIXED_IN[major]}", "major": major}
    if name == "pg_restore":
        return _(
            "pg_restore {version} has {fault}. Restore only backups of your own, and install {fixed} or newer"
            " (Debian: apt install postgresql-client-{major}); it is then taken by itself.",
            **of,
        )
    return _(
        "{name} {version} has {fault}. Use it only on servers of your own, and install {fixed} or newer"
        " (Debian: apt install postgresql-client-{major}); it is then taken by itself.",
        name=name,
        **of,
    )


def choose_pg_dump(server_major: int, *, folders: Sequence[str]) -> ClientProgram:
    """pg_dump of the server's own major version, else the lowest newer one.

    Raises ClientProgramError naming both versions when every pg_dump is older than the server.
    """
    return dump_fitting(server_major, found=find("pg_dump", folders=folders))


def dump_fitting(server_major: int, *, found: Sequence[ClientProgram]) -> ClientProgram:
    """The choice of `choose_pg_dump` among programs that were found. Of one major version, the first without a known fault,
    else the first."""
    fitting = [program for program in found if server_major <= program.major <= NEWEST_MAJOR]
    if not fitting:
        raise _nothing_fits("pg_dump", f"the server is PostgreSQL {server_major}", found, needed=server_major)
    return min(fitting, key=lambda program: (program.major, program.is_below_known_fix))


def choose_pg_restore(*, archive_major: int, target_major: int, folders: Sequence[str]) -> ClientProgram:
    """pg_restore that reads the archive (made by pg_dump `archive_major`), and not newer than the target where there is one.

    A newer pg_restore may send settings that an older server does not know (transaction_timeout came with 17).

    Raises ClientProgramError when every pg_restore is older than the archive.
    """
    return restore_fitting(archive_major, target_major=target_major, found=find("pg_restore", folders=folders))


def restore_fitting(archive_major: int, *, target_major: int, found: Sequence[ClientProgram]) -> ClientProgram:
    """The choice of `choose_pg_restore` among programs that were found. Of one major version, the first without a known fault,
    else the first."""
    fitting = [program for program in found if archive_major <= program.major <= NEWEST_MAJOR]
    if not fitting:
        raise _nothing_fits("pg_restore", f"the backup was made by pg_dump {archive_major}", found, needed=archive_major)
    not_newer = [program for program in fitting if program.major <= target_major]
    if not_newer:
        return max(not_newer, key=lambda program: (program.major, not program.is_below_known_fix))
    return min(fitting, key=lambda program: (program.major, program.is_below_known_fix))


def major_of(version: str) -> int:
    """17 of "17.10", 18 of "18beta1"."""
    match = re.match(r"\d+", version)
    return int(match[0]) if match else 0


def minor_of(version: str) -> int:
    """10 of "17.10", 0 of "18beta1"."""
    match = re.match(r"\d+\.(\d+)", version)
    return int(match[1]) if match else 0


def find(name: str, *, folders: Sequence[str]) -> list[ClientProgram]:
    """Every usable program of that name: configured folders first, then the distribution's, then PATH."""
    found: dict[str, ClientProgram] = {}
    for path in _candidates(name, folders):
        program = _examine(path, Path(path).stat().st_mtime_ns)
        if program is not None:
            found.setdefault(os.path.realpath(path), program)
    return list(found.values())


def _candidates(name: str, folders: Sequence[str]) -> Iterable[str]:
    versioned = sorted((folder for pattern in DISTRIBUTION_FOLDERS for folder in glob(pattern)), reverse=True)  # noqa: PTH207
    # An empty or relative entry of PATH is the folder one happens to be in, which anybody may have filled.
    for folder in [*folders, *versioned, *filter(os.path.isabs, os.get_exec_path())]:
        path = Path(folder).absolute() / name
        # Debian's /usr/bin/pg_dump is a Perl wrapper that picks a version by rules of its own.
        if os.access(path, os.X_OK) and path.is_file() and path.resolve().name != "pg_wrapper":
            yield str(path)


@lru_cache(maxsize=64)
def _examine(path: str, _modified_at: int) -> ClientProgram | None:
    """What an executable says of itself; None when it does not run (made for another platform, libraries missing)."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, timeout=10, env={"LC_ALL": "C"}, check=True)
        match = re.search(r"\(PostgreSQL\) ([0-9][\w.]*)", said.stdout.decode(errors="replace"))
        if match is None:
            return None
        major = major_of(match[1])
        has_zstd = major >= 16 and Path(path).name == "pg_dump" and _accepts_zstd(path)
    except (OSError, subprocess.SubprocessError):
        return None
    return ClientProgram(path=path, version=match[1], major=major, has_zstd=has_zstd)


def _accepts_zstd(path: str) -> bool:
    """Whether this build of pg_dump has zstd: it says so before it tries to connect, here to a socket that isn't there."""
    with tempfile.TemporaryDirectory() as nowhere:
        said = subprocess.run(
            [path, "--format=custom", "--compress=zstd:1", "--no-password"],
            capture_output=True,
            timeout=10,
            env={"LC_ALL": "C", "PGHOST": nowhere, "HOME": nowhere},
            check=False,
        )
    return b"compression" not in said.stderr


def _nothing_fits(name: str, reason: str, found: Sequence[ClientProgram], *, needed: int) -> ClientProgramError:
    versions = ", ".join(f"{program.version} ({program.path})" for program in found) or "none"
    if needed > NEWEST_MAJOR:
        return ClientProgramError(
            f"No {name} fits: {reason}, and this version of the backup system knows PostgreSQL up to {NEWEST_MAJOR}.",
            detail=f"Found: {versions}.",
            hint="Update the backup system.",
        )
    return ClientProgramError(
        f"No {name} fits: {reason}, and {name} {needed} to {NEWEST_MAJOR} is needed.",
        detail=f"Found: {versions}.",
        hint=f"Install it (Debian: apt install postgresql-client-{needed}), or name its folder in BACKUPS_CLIENT_FOLDERS.",
    )
