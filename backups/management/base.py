"""What the commands share: errors into text and exit codes, signals into one clean cancellation."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from django.core.management.base import BaseCommand, CommandError

from backups.exceptions import BackupsError, CancelledError, RefusedError, UsageError


class BackupsCommand(BaseCommand):
    """A command without the options of Django's that help nobody here, and that needs no system checks."""

    requires_system_checks = ()
    suppressed_base_arguments = {
        *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback"),
        *("--no-color", "--force-color", "--skip-checks"),
    }


class Failed(CommandError):
    """Django prints the class's name before the message."""


class Usage(CommandError):
    """The request can't be understood, or can't be carried out as it is."""


class Refused(CommandError):
    """Nothing was done, so that nothing is lost."""


class Cancelled(CommandError):
    """Stopped on request."""


@contextmanager
def translated() -> Iterator[None]:
    """An error of ours leaves as a CommandError with its exit code; Ctrl-C before anything was begun, too."""
    try:
        yield
    except BackupsError as error:
        raise_as_command_error(error)
    except KeyboardInterrupt as error:
        raise Cancelled("Nothing had been begun.", returncode=CancelledError.exit_code) from error


def raise_as_command_error(error: BackupsError, *more: BackupsError) -> NoReturn:
    """By the kind of the first error; the texts of all."""
    kinds: dict[type[BackupsError], type[CommandError]] = {
        UsageError: Usage,
        RefusedError: Refused,
        CancelledError: Cancelled,
    }
    kind = next((made for given, made in kinds.items() if isinstance(error, given)), Failed)
    raise kind("\n\n".join(map(_text, (error, *more))), returncode=error.exit_code) from error


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM, SIGHUP and Ctrl-C raise KeyboardInterrupt once; while what follows is tidied, further ones are ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        sys.stderr.write("\nStopping, and removing what is unfinished …\n")
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}
    try:
        for number in signals:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _text(error: BackupsError) -> str:
    indented = "\n".join(f"    {line}" for line in error.detail.splitlines())
    return "\n".join(part for part in (error.message, indented, error.hint) if part)
