"""manage.py migrate: Django's own, and before what removes or alters data a backup. Stands before Django's by its name."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from textwrap import indent
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db.models.signals import pre_migrate

from backups import guarding, words
from backups.destructive import Step
from backups.interrupts import interruptible
from backups.management import progress
from backups.management.base import translated
from backups.types import silent


class Command(Migrate):
    """Has guarding.py look at the plan, when all is checked and nothing is changed yet: Django tells it by a signal."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Django's options, and one of ours."""
        super().add_arguments(parser)
        parser.add_argument(
            "--without-backup",
            action="store_true",
            help="Make no backup before migrations that remove or alter columns or tables (see BACKUPS_GUARD_MIGRATIONS).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrates."""
        alias = options["database"]
        only_looks = options["plan"] or options["check_unapplied"] or options["prune"] or options["fake"]
        if only_looks or options["without_backup"] or not self._is_on():
            super().handle(*args, **options)
            return
        with self._guarding(alias, verbosity=options["verbosity"]):
            if not options["app_label"] and self._has_own_to_do_first(alias):
                super().handle(*args, **options | {"app_label": guarding.OURS, "run_syncdb": False})
            super().handle(*args, **options)

    def _is_on(self) -> bool:
        with translated():
            return guarding.is_on()

    def _has_own_to_do_first(self, alias: str) -> bool:
        with translated():
            return guarding.comes_first(alias)

    @contextmanager
    def _guarding(self, alias: str, *, verbosity: int) -> Iterator[None]:
        """Listens to Django's signal, which is sent for each app, for as long as the block lasts."""
        seen: list[Sequence[Step]] = []

        def before(*, using: str, plan: Sequence[Step], **_more: Any) -> None:
            if using == alias and not any(plan is one for one in seen):
                seen.append(plan)
                self._before(plan, alias=alias, verbosity=verbosity)

        pre_migrate.connect(before, weak=False)
        try:
            yield
        finally:
            pre_migrate.disconnect(before)

    def _before(self, plan: Sequence[Step], *, alias: str, verbosity: int) -> None:
        with translated():
            guarded = guarding.needed(plan, alias=alias)
            if not guarded:
                return
            say: Callable[[str], object] = self.stdout.write if verbosity else lambda _line: None
            if not guarding.can_back_up(alias):
                say(f"No backup comes first: {alias} is not PostgreSQL.")
                return
            say(indent(f"A backup comes first, because of\n{guarding.as_text(guarded)}", "  ").strip())
            with interruptible(), progress.shown() if verbosity else nullcontext(silent) as on_progress:
                row = guarding.back_up(guarded, plan=plan, alias=alias, on_progress=on_progress)
        say(f"Backup made: {row.filename}, {words.size(row.size_bytes)}.")
