"""The target of a restore, from options, the environment of libpq, and the site's own database."""

import getpass
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from backups import conf
from backups.exceptions import UsageError
from backups.postgres.commands import OPTION_VARIABLES
from backups.types import Server

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def from_options(given: dict[str, Any]) -> Server:
    """What is not given comes from the site's database, of the alias that is asked for. Its password goes to its own server and
    user only.

    Raises UsageError for an empty option, for a name that looks like a URL, and when the file with the password can't be read.
    """
    for option in ("target_host", "target_username", "target_dbname"):
        _require_plain(option, given[option])
    site = conf.server(given.get("database") or "default")
    made = replace(
        site,
        host=given["target_host"] or site.host,
        port=given["target_port"] or site.port,
        user=given["target_username"] or site.user,
        database=given["target_dbname"] or site.database,
        password="",
        options=tuple(sorted({**dict(site.options), **_options()}.items())),
    )
    return replace(made, password=_password(given, made, site))


def _require_plain(option: str, given: str | None) -> None:
    name = "--" + option.replace("_", "-")
    if given is not None and not given.strip():  # $TARGET was not set: the site's own database was surely not meant
        raise UsageError(f"{name} is empty.", hint="Leave it out to take what the site's settings say.")
    if given is not None and "://" in given:
        raise UsageError(f"{name} takes a name, not a URL.", hint="Give its parts: --target-host, --target-port, …")


def _options() -> dict[str, str]:
    """How the connection is to be made (sslmode, …), where libpq's environment says so."""
    return {name: os.environ[variable] for name, variable in OPTION_VARIABLES.items() if variable in os.environ}


def _password(given: dict[str, Any], made: Server, site: Server) -> str:
    if given["target_password"] is not None:
        sys.stderr.write("A password on the command line is visible to others on this machine. Rather: --target-password-file\n")
        return str(given["target_password"])
    if given["target_password_file"]:
        return _first_line(Path(given["target_password_file"]))
    if "PGPASSWORD" in os.environ:
        return os.environ["PGPASSWORD"]
    if _same_host(made.host, site.host) and (made.port, made.user) == (site.port, site.user):
        return site.password
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {made.user} on {made.host}:{made.port}: ")
    return ""


def _same_host(one: str, other: str) -> bool:
    return one == other or {one, other} <= LOOPBACK


def _first_line(path: Path) -> str:
    try:
        return path.read_text().split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The file with the password, {path}, can't be read.", detail=str(error)) from error
