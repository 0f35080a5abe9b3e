"""The commands that messages tell people to type next: with whatever leads to the same target again, quoted for a shell."""

import shlex

from backups import conf, words
from backups.types import Server


def undo(target: Server, *, kept: str = "") -> str:
    """Swaps back what a restore has replaced: the newest, or the one called `kept`."""
    return _restore("--undo", *(["--kept", kept] if kept else []), target=target)


def discard(target: Server) -> str:
    """Drops what restores have replaced."""
    return _restore("--discard-previous", target=target)


def restore(backup: str, target: Server) -> str:
    """Brings a backup, by its filename or key, back onto a target. It asks before it touches anything."""
    return _typed("restore", backup, *_leading_to(target))


def restore_in_place(filename: str, target: Server) -> str:
    """Brings a backup back where no database can be created."""
    return _restore(filename, "--in-place", target=target)


def _restore(*typed: str, target: Server) -> str:
    return _typed("restore", *typed, *_leading_to(target), "--yes", target.database)


def _typed(*typed: str) -> str:
    return words.printable(shlex.join(["icb", "db", *typed]))


def _leading_to(target: Server) -> list[str]:
    """The options that lead to a target; none for the site's own database. The password is never among them."""
    site = conf.server("default")
    options = (
        ("--target-host", target.host, site.host),
        ("--target-port", str(target.port or ""), str(site.port or "")),
        ("--target-username", target.user, site.user),
        ("--target-dbname", target.database, site.database),
    )
    return [word for option, wanted, given in options if wanted and wanted != given for word in (option, wanted)]
