"""Which processes of the site run here, and who keeps them: a pid file for each role, beside those of the embedded services."""

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ichrisbirch_site.embedded import EmbeddedError, Home
from ichrisbirch_site.embedded.processes import Process
from ichrisbirch_site.supervisor.roles import ALL

LOCK = "up"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One role that somebody keeps. `process` is None while it is not running: before its first start, between two."""

    role: str
    keeper: Process
    process: Process | None
    is_ready: bool
    restarts: int
    log: str  # empty: in the foreground of a terminal
    address: str  # of the web; else empty


class TakenError(EmbeddedError):
    """Some of the roles run here already."""


def claim(home: Home, claims: Iterable[Claim]) -> None:
    """Writes these claims, all or none; ends first what a keeper that was killed has left.

    Raises TakenError where one is kept by a living process.
    """
    wanted = list(claims)
    with home.lock(LOCK):
        found = [other for one in wanted if (other := read(home, one.role))]
        if runs := [other for other in found if other.keeper.is_alive()]:
            raise taken(runs, of=len(wanted))
        for left in found:
            if left.process and not left.process.stop((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
                raise EmbeddedError(
                    f"{left.role} (process {left.process.pid}) is left of an earlier icb up, and does not end.",
                    hint=f"End it: kill -9 {left.process.pid}",
                )
        for one in wanted:
            write(home, one)


def write(home: Home, claim: Claim) -> None:
    home.write(home.pid_file(claim.role), json.dumps(asdict(claim)) + "\n")


def release(home: Home, roles: Iterable[str]) -> None:
    """Removes the claims of this very process."""
    with home.lock(LOCK):
        for role in roles:
            found = read(home, role)
            if found and found.keeper.pid == os.getpid():
                home.pid_file(role).unlink(missing_ok=True)


def read(home: Home, role: str) -> Claim | None:
    try:
        content = json.loads(home.pid_file(role).read_text())
        return Claim(
            role=role,
            keeper=Process(**content["keeper"]),
            process=Process(**content["process"]) if content["process"] else None,
            is_ready=bool(content["is_ready"]),
            restarts=int(content["restarts"]),
            log=str(content["log"]),
            address=str(content["address"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept(home: Home) -> list[Claim]:
    """The roles that a living process keeps."""
    return [found for role in ALL if (found := read(home, role)) and found.keeper.is_alive()]


def keepers(home: Home) -> list[Process]:
    return list(dict.fromkeys(claim.keeper for claim in kept(home)))


def status(claim: Claim) -> dict[str, Any]:
    """What a person or a script wants to know of it."""
    running = bool(claim.process and claim.process.is_alive())
    return {
        "name": claim.role,
        "running": running,
        "ready": running and claim.is_ready,
        "pid": claim.process.pid if claim.process and running else None,
        "kept_by": claim.keeper.pid,
        "restarts": claim.restarts,
        "address": claim.address,
        "log": claim.log,
    }


def taken(running: list[Claim], *, of: int) -> TakenError:
    names = [one.role for one in running]
    them = f"{', '.join(names[:-1])} and {names[-1]} run" if len(names) > 1 else f"{names[0]} runs"
    pids = " and ".join(str(pid) for pid in dict.fromkeys(one.keeper.pid for one in running))
    more = "" if len(running) == of else " What does not run yet can be started alone: --web-only, --worker-only, --beat-only."
    return TakenError(
        f"{them} here already, kept by process {pids}. Nothing was started.",
        hint=f"icb status shows it; icb down stops it.{more}",
    )
