"""`icb up` and its end: from what was asked to processes that run, and from there to none."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import EmbeddedError, Home, processes
from ichrisbirch_site.embedded.processes import Process, wait_until
from ichrisbirch_site.supervisor import claims, glance, ports
from ichrisbirch_site.supervisor.claims import Claim
from ichrisbirch_site.supervisor.options import Options
from ichrisbirch_site.supervisor.output import OURS, Logs, Output, Terminal
from ichrisbirch_site.supervisor.roles import WEB, address, roles
from ichrisbirch_site.supervisor.supervisor import Kept, Supervisor

READY_WITHIN_SECONDS = 90.0
STOPPED_WITHIN_SECONDS = 60.0
SECOND_SIGNAL_AFTER_SECONDS = 3.0
LOG = "up"


def run(options: Options) -> int:
    """Keeps the processes in the foreground, or as what runs in the background, until it is told to stop.

    Raises EmbeddedError (TakenError where one of them runs already).
    """
    home, me = embedded.home(os.environ), Process.of(os.getpid())
    assert me is not None
    logs = options.in_background

    def claim_of(role: str, kept: Kept | None = None) -> Claim:
        child = kept.child if kept else None
        return Claim(
            role=role,
            keeper=me,
            process=child.process if child else None,
            is_ready=bool(child and child.is_ready),
            restarts=kept.restarts if kept else 0,
            log=str(home.log(role)) if logs else "",
            address=_url(options) if role == WEB else "",
        )

    claims.claim(home, [claim_of(role) for role in options.roles])
    output: Output | None = None
    try:
        if WEB in options.roles:
            ports.require_free(options.host, options.port)
        output = Logs(home) if logs else Terminal(sys.stdout)
        supervisor = Supervisor(
            roles(options.roles, host=options.host, port=options.port),
            environment=_environment(),
            output=output,
            at_work=glance.at_work,
            changed=lambda kept: _noted(home, claim_of(kept.role.name, kept)),
            services=lambda: embedded.ensure_running(os.environ),
            all_ready=_teller(options, output),
        )
        return supervisor.run()
    finally:
        claims.release(home, options.roles)
        if output:
            output.close()


def _noted(home: Home, kept: Claim) -> None:
    """For `icb status`. On a full disk it is not told; that is no reason to end what runs."""
    with suppress(OSError):
        claims.write(home, kept)


def detach(options: Options) -> int:
    """Starts the same in the background, and returns when all of it is ready. Raises EmbeddedError."""
    home = embedded.home(os.environ)
    if taken := [claim for claim in claims.kept(home) if claim.role in options.roles]:
        raise claims.taken(taken, of=len(options.roles))
    if WEB in options.roles:
        ports.require_free(options.host, options.port)
    log = home.log(LOG)
    home.make(log.parent)
    log.touch(mode=0o600)
    home.give_to_owner(log)
    keeper = processes.spawn(
        [sys.executable, "-P", "-m", "ichrisbirch_site.cli", "up", *options.words()],
        environment=_environment(),
        log=log,
        folder=Path.cwd(),
        user=None,
        group=None,
    )
    if keeper is None or not _gets_ready(home, keeper, options):
        state = "runs, but not all of it is ready" if keeper and keeper.is_alive() else "has ended"
        raise EmbeddedError(
            f"What was started in the background {state}.",
            detail=processes.end_of(log),
            hint=f"The whole log is {log}, and beside it are those of the processes.",
        )
    for line in _greeting(options, ends="Stop it: icb down"):
        embedded.say(line)
    return 0


def stop(home: Home, *, force: bool, say: Callable[[str], None]) -> list[str]:
    """Ends every icb up of this home, and with it what it keeps; returns their roles.

    With `force` what is at work is cancelled, and after a minute killed. Raises EmbeddedError when something is still waited for.
    """
    stopped = []
    for keeper in claims.keepers(home):
        names = [claim.role for claim in claims.kept(home) if claim.keeper == keeper]
        keeper.send(signal.SIGTERM)
        if force and not wait_until(lambda keeper=keeper: not keeper.is_alive(), seconds=SECOND_SIGNAL_AFTER_SECONDS):  # type: ignore[misc]
            say("Stopping what is at work …")
            keeper.stop((signal.SIGTERM, STOPPED_WITHIN_SECONDS + 15), (signal.SIGKILL, 5))
        elif not wait_until(lambda keeper=keeper: not keeper.is_alive(), seconds=STOPPED_WITHIN_SECONDS):  # type: ignore[misc]
            raise EmbeddedError(
                f"{', '.join(names)} (kept by process {keeper.pid}) still wait for what is at work, and end when it is done.",
                hint="Do not wait: icb down --force",
            )
        stopped += names
    return stopped


def _gets_ready(home: Home, keeper: Process, options: Options) -> bool:
    def ready() -> bool:
        found = [claims.read(home, role) for role in options.roles]
        return all(claim and claim.is_ready and claim.keeper.is_alive() for claim in found)

    wait_until(lambda: ready() or not keeper.is_alive(), seconds=READY_WITHIN_SECONDS)
    return ready()


def _teller(options: Options, output: Output) -> Callable[[], None]:
    def tell() -> None:
        for line in _greeting(options, ends="Ctrl-C stops all of it."):
            output.line(OURS, line)

    return tell


def _greeting(options: Options, *, ends: str) -> list[str]:
    lines = []
    if WEB in options.roles:
        lines.append(f"The site is at {_url(options)}")
        if not glance.has_users():
            lines.append("Nobody can log in yet. Make a first user: icb manage createsuperuser")
    if next_ := glance.next_backup():
        lines.append(f"The next scheduled backup: {next_}")
    return [*lines, ends]


def _url(options: Options) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)  # noqa: S104 - only compared
    return f"http://{address(host, options.port)}/admin/"


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(embedded.PROJECT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings"),
    }
