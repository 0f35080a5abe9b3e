"""What `icb up` runs, as commands; and in which order it is stopped."""

import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass

WEB, WORKER, UPKEEP, BEAT = "web", "worker", "upkeep", "beat"
ALL = (WEB, WORKER, UPKEEP, BEAT)

# Nothing new is begun, then what was begun is ended; meanwhile the web shows how far it is.
STOPPED_IN_ORDER = ((BEAT,), (WORKER, UPKEEP), (WEB,))

CANCEL = signal.SIGUSR2  # to a worker: what it is at work on stops, and removes what it had begun


@dataclass(frozen=True)
class Role:
    """One of the processes, and the words that start it; `after` which other one was ready, if that is started with it."""

    name: str
    argv: tuple[str, ...]
    after: str = ""


def roles(names: Iterable[str], *, host: str, port: int) -> list[Role]:
    """Those of these names; the web at this address."""
    commands = {
        WEB: (
            *("gunicorn", "--config", "python:ichrisbirch_site.supervisor.web"),
            *("--bind", address(host, port), "ichrisbirch_site.wsgi"),
        ),
        WORKER: _celery("worker", "-Q", "backups", "-n", "backups@%h", "--concurrency", "2", "--prefetch-multiplier", "1"),
        UPKEEP: _celery("worker", "-Q", "upkeep", "-n", "upkeep@%h", "--concurrency", "2"),
        BEAT: _celery("beat"),
    }
    # Two first workers at once would overwrite what the other writes into the folder of kombu's filesystem transport.
    return [Role(name, (sys.executable, "-P", "-m", *commands[name]), WORKER if name == UPKEEP else "") for name in names]


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _celery(*words: str) -> tuple[str, ...]:
    return ("celery", "--quiet", "-A", "ichrisbirch_site", *words, "--loglevel", "INFO")
