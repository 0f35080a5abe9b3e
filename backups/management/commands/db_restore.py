"""manage.py db_restore: brings a backup back; swaps back what a restore has replaced; lets go of it."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from backups import undo, words
from backups.exceptions import CancelledError, UsageError
from backups.interrupts import interruptible
from backups.kept import kept_of
from backups.management import options, plan_text, progress, report, target
from backups.management.base import BackupsCommand, translated
from backups.plan import Choices, Plan
from backups.restore import DatabaseRestore
from backups.types import Server

OF_A_RESTORE = (
    *("environment", "trust_unsigned", "no_owner", "no_privileges", "map_role", "neutralize", "in_place", "no_safety_backup"),
    *("table", "into_schema", "schema_only"),
)


class Command(BackupsCommand):
    """Parses, shows the plan, asks for the name, calls DatabaseRestore, prints how it compared."""

    help = (
        "Restores a backup: loads it beside the target, compares it with what was backed up, swaps the two names at once. "
        "What was there stays, and --undo swaps back. Without --target-…, the target is the site's own database."
    )
    example = "icb db restore latest --dry-run"
    audited = "restore"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """With a first line that can be read; the options are listed below it."""
        usage = "%(prog)s FILENAME|latest [--yes NAME] [options]\n       %(prog)s --undo|--discard-previous [--yes NAME]"
        return super().create_parser(prog_name, subcommand, usage=usage, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.restore(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Does one of the three."""
        with translated(), interruptible():
            if given["undo"] or given["discard_previous"]:
                self.audited = "undo" if given["undo"] else "discard"
                _refuse_backup(given)
                self._undo(given) if given["undo"] else self._discard(given)
            else:
                self._restore(given)

    def _restore(self, given: dict[str, Any]) -> None:
        story = DatabaseRestore(
            target=target.from_options(given),
            filename=_filename(given),
            from_file=Path(given["from_file"]) if given["from_file"] else None,
            trust_unsigned=given["trust_unsigned"],
            database=given["database"],
            environment=given["environment"] or "",
            choices=_choices(given),
            confirm=given["yes"] or "",
            safety_backup=not given["no_safety_backup"],
        )
        plan = story.plan()
        self._note_where(plan.target, plan.manifest.filename if plan.manifest else story.filename)
        if given["dry_run"]:
            self.stdout.write(plan_text.plan_as_json(plan) if given["json"] else plan_text.plan_as_text(plan))
            plan.require_possible()
            return
        self._say(plan_text.plan_as_text(plan) + "\n")
        plan.require_possible()
        self._ask(story, plan)
        with progress.shown() as story.on_progress:
            row = story.run()
        self.stdout.write(report.restore_as_json(row) if given["json"] else report.restore_as_text(row, story.target))
        for problem in dict.fromkeys(story.problems):
            self._say(f"Also: {problem}")

    def _ask(self, story: DatabaseRestore, plan: Plan) -> None:
        """The name of what is replaced, and what else only a person can decide; where nobody sits there, the story refuses."""
        if not sys.stdin.isatty():
            return
        if plan.needs_name and not story.confirm:
            story.confirm = _typed(f"Type the database's name, {words.printable(plan.target.database)}, to go on: ")
        if plan.asks_neutralize and plan.choices.neutralize is None and not plan.choices.in_place:
            answer = _typed("A backup of production. Empty sessions and tokens, disable scheduled tasks in it? [Y/n] ")
            story.decide(neutralize=answer.lower() not in ("n", "no"))

    def _undo(self, given: dict[str, Any]) -> None:
        story = undo.RestoreUndo(target=target.from_options(given), kept=given["kept"] or "", confirm=given["yes"] or "")
        kept = story.find()
        self._note_where(story.target, kept.database)
        name = words.printable(story.target.database)
        self._say(
            f"{words.printable(kept.database)} ({words.size(kept.size_bytes)}), replaced {kept.kept_at:%Y-%m-%d %H:%M} UTC,"
            f" takes the place of {name} on {story.target.host}:{story.target.port}."
            f" What is in {name} now, if it is there, stays beside it."
        )
        if given["dry_run"]:
            return
        if not story.confirm and sys.stdin.isatty():
            story.confirm = _typed(f"Type the database's name, {name}, to go on: ")
        swapped = story.run()
        self.stdout.write(report.undo_as_json(story, swapped) if given["json"] else report.undo_as_text(story, kept, swapped))
        for problem in dict.fromkeys(story.problems):
            self._say(f"Also: {problem}")

    def _discard(self, given: dict[str, Any]) -> None:
        where = target.from_options(given)
        confirm = given["yes"] or ""
        copies, now = kept_of(where), timezone.now()
        self._note_where(where, ", ".join(kept.database for kept in copies))
        for kept in copies:
            name = words.printable(kept.database)
            self._say(
                f"{name} ({words.size(kept.size_bytes)}), replaced {words.age(kept.kept_at, now=now)}, is dropped for good."
            )
        if given["dry_run"]:
            return
        if copies and not confirm and sys.stdin.isatty():
            confirm = _typed(f"Type the database's name, {words.printable(where.database)}, to drop what was kept of it: ")
        dropped = undo.discard(where, confirm=confirm)
        if given["json"]:
            self.stdout.write(report.dropped_as_json(dropped))
            return
        for kept in dropped:
            self.stdout.write(f"Dropped {words.printable(kept.database)}, {words.size(kept.size_bytes)}.")

    def _note_where(self, server: Server, on: str) -> None:
        """For the audit."""
        self.on, self.onto = on, f"{server.database} on {server.host}:{server.port}"

    def _say(self, text: str) -> None:
        """Beside the result, and not in the red of an error."""
        self.stderr.write(text, style_func=str)


def _filename(given: dict[str, Any]) -> str:
    named, option = given["backup"], given["filename"]
    if named and option and named != option:
        raise UsageError("Two filenames are given.", hint="Leave one of them out.")
    filename = named or option or ""
    if filename and given["from_file"]:
        raise UsageError("A filename and a file are given.", hint="Leave one of them out.")
    if given["kept"]:
        raise UsageError("--kept is only for --undo.")
    if given["trust_unsigned"] and not given["from_file"]:
        raise UsageError("--trust-unsigned is only for --from-file.", hint="What is in the bucket must be signed by us.")
    if not filename and not given["from_file"]:
        raise UsageError("Which backup?", hint="icb db restore latest …, or a filename of icb db list")
    return filename or "latest"


def _refuse_backup(given: dict[str, Any]) -> None:
    word = "--undo" if given["undo"] else "--discard-previous"
    if given["undo"] and given["discard_previous"]:
        raise UsageError("--undo and --discard-previous exclude each other.")
    if given["kept"] and not given["undo"]:
        raise UsageError("--kept is only for --undo.", hint="--discard-previous drops all that was kept.")
    if given["backup"] or given["filename"] or given["from_file"]:
        raise UsageError(f"{word} takes no backup: it is about what a restore has replaced.")
    if others := [option for option in OF_A_RESTORE if given[option] not in (None, False, [])]:
        raise UsageError(f"{word} does not go with --{others[0].replace('_', '-')}.", hint="That is for restoring a backup.")


def _choices(given: dict[str, Any]) -> Choices:
    tables = tuple(_table(text) for text in given["table"] or ())
    if given["into_schema"] and not tables:
        raise UsageError("--into-schema needs the tables to put there.", hint="For example: --table public.order")
    if given["in_place"] and (tables or given["into_schema"] or given["schema_only"]):
        raise UsageError("--in-place restores whole backups only.", hint="For parts, use --target-dbname NEW or --into-schema.")
    if given["schema_only"] and given["into_schema"]:
        raise UsageError("--schema-only and --into-schema exclude each other.")
    return Choices(
        keep_owners=not given["no_owner"],
        keep_privileges=not given["no_privileges"],
        map_roles=tuple(_role_pair(text) for text in given["map_role"] or ()),
        in_place=given["in_place"],
        tables=tables,
        into_schema=given["into_schema"] or "",
        schema_only=given["schema_only"],
        neutralize=given["neutralize"],
    )


def _table(text: str) -> tuple[str, str]:
    schema, dot, name = text.partition(".")
    return (schema, name) if dot else ("public", text)


def _role_pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise UsageError(f"--map-role {text!r} is not OLD=NEW.", hint="For example: --map-role reporting=shop_owner")
    return old, new


def _typed(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise CancelledError("Nothing was typed. Nothing was touched.", hint="Where nobody can type, --yes says the name.")
    return line.strip()
