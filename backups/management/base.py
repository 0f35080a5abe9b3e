"""What the commands share: errors into text and exit codes, signals into one clean cancellation."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups import words
from backups.audit import By, Outcome, note
from backups.exceptions import BackupsError, CancelledError, RefusedError, UsageError

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused for safety, 130 interrupted."


class BackupsCommand(BaseCommand):
    """A command without the options of Django's that help nobody here, and that needs no system checks."""

    requires_system_checks = ()
    suppressed_base_arguments = {
        *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback"),
        *("--no-color", "--force-color", "--skip-checks"),
    }
    example: ClassVar[str]
    audited = ""  # what the audit calls it; nothing is noted of a command that only looks
    on = onto = ""  # what it worked on, and onto which database, as soon as the command knows

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """With an example and the exit codes at the end of the help."""
        return super().create_parser(prog_name, subcommand, epilog=f"Example: {self.example} · {EXIT_CODES}", **kwargs)

    def execute(self, *args: Any, **given: Any) -> str | None:
        """Does it, and notes in the audit what came of it; not of a mere attempt to understand what was meant."""
        try:
            said = super().execute(*args, **given)
        except CommandError as error:
            if error.returncode != UsageError.exit_code:
                self._note(given, Outcome.REFUSED if isinstance(error, Refused) else Outcome.FAILED, str(error).split("\n")[0])
            raise
        self._note(given, Outcome.DONE)
        return said

    def _note(self, given: dict[str, Any], outcome: Outcome, detail: str = "") -> None:
        if self.audited and not given.get("dry_run"):
            note(action=self.audited, outcome=outcome, object=self.on, target=self.onto, detail=detail, by=By.of_command())


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


def _text(error: BackupsError) -> str:
    lines = [*error.message.split("\n"), *(f"    {line}" for line in error.detail.split("\n")), *error.hint.split("\n")]
    return "\n".join(words.printable(line.expandtabs()) for line in lines if line.strip())
