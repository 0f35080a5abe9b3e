"""A restore: its plan with everything that stands against it, the typed name; then `restored` shows its steps and its report."""

import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from backups import asking, conf, health, next_command, targets
from backups.access import Action
from backups.admin.page import Page, found
from backups.exceptions import BackupsError, OfRunError, UsageError
from backups.fallback import instead_of
from backups.heartbeats import BACKUPS
from backups.models import BackupHistory, BackupRestore, Verdict
from backups.plan import NOT_IN_A_BACKUP, HistoryPlace, Level, Plan
from backups.plan.checks import of_proof
from backups.sentences import sentence
from backups.types import State

_NEUTRALIZE = {"yes": True, "no": False}


@dataclass(frozen=True)
class Planned:
    """What the page says of a plan of the backup `row`, beside the plan's own words."""

    plan: Plan
    row: BackupHistory

    @cached_property
    def finding(self) -> BackupRestore | None:
        """The newest run that found it bad, as long as that counts."""
        if self.row.bad_at is None:
            return None
        runs = BackupRestore.objects.filter(backup=self.row, verdict=Verdict.BAD)
        return runs.defer("comparison_report", "progress").order_by("-created_at").first()

    @property
    def found(self) -> str:
        """What that run has found, in one line."""
        return self.finding.error_message.partition("\n")[0] if self.finding is not None else ""

    @cached_property
    def other(self) -> BackupHistory | None:
        """Of a bad one, the newest that is to be taken instead."""
        return instead_of(self.row) if self.row.bad_at is not None else None

    @property
    def is_of_the_history(self) -> bool:
        """Whether it replaces the very database that this page comes from: users and sessions with it."""
        return self.plan.history is HistoryPlace.TARGET

    @property
    def is_production(self) -> bool:
        """Whether backups of the target are backups of production."""
        environments = self.plan.there.database.environments if self.plan.there.database else ()
        own = (conf.current().environment,) if self.is_of_the_history else ()
        return "production" in (*environments, *own)

    @property
    def newer(self) -> BackupHistory | None:
        """The newest backup of the same database that was not found bad, if that is a newer one."""
        manifest = self.plan.manifest
        if manifest is None:
            return None
        rows = BackupHistory.objects.of_environment(manifest.environment).succeeded()
        rows = rows.filter(database=manifest.database, system_identifier=manifest.snapshot.system_identifier)
        newer = rows.filter(missing_at=None, bad_at=None, created_at__gt=manifest.started_at).exclude(id=manifest.id)
        return newer.defer("table_snapshot").newest_first().first()

    @property
    def steps(self) -> list[tuple[str, str]]:
        """What will happen, each with how."""
        plan, told = self.plan, {"database": self.plan.target.database}
        steps = [(_("Download and prove the bytes"), _("signature and SHA-256, before anything reads them"))]
        beside = _("beside %(database)s, which goes on working") % told if plan.there.database else ""
        steps.append((_("Load it under another name"), beside))
        steps.append((_("Compare with the manifest"), _("rows of every table, extensions, indexes, sequences, constraints")))
        if plan.choices.neutralize:
            steps.append(
                (_("Empty sessions and tokens, disable scheduled tasks"), _("in what was loaded, before it is in place"))
            )
        if plan.history is not HistoryPlace.ELSEWHERE:
            steps.append((_("Carry the history over"), _("what was backed up and restored since then, and the audit")))
        if plan.there.is_empty:
            return [*steps, (_("Give it the name %(database)s") % told, "")]
        return [*steps, (_("Swap the two names"), _("in one transaction; who is connected then is sent away"))]

    @cached_property
    def told(self) -> list[Any]:
        """What was looked at, but for that with which the page begins."""
        headed = set(of_proof(self.row.bad_at, filename=self.row.filename))
        return [check for check in self.plan.checks if check not in headed]

    @property
    def against(self) -> list[Any]:
        """What must not be, first; then what somebody should know."""
        return [check for level in (Level.BLOCK, Level.WARN) for check in self.told if check.level is level]

    @property
    def fine(self) -> list[Any]:
        """What was looked at and is well."""
        return [check for check in self.told if check.level is Level.OK]

    @property
    def is_possible(self) -> bool:
        """Whether nothing stands against it, and what must be said was said."""
        return not self.plan.blocking and not self.is_undecided

    @property
    def is_undecided(self) -> bool:
        """Whether somebody must say first if sessions and tokens of production may be alive in the target."""
        return self.plan.asks_neutralize and self.plan.choices.neutralize is None

    @property
    def connections(self) -> int:
        """Sessions in the target now."""
        return self.plan.there.database.sessions if self.plan.there.database else 0

    @property
    def command(self) -> str:
        """The same in a terminal, where it asks before it touches anything."""
        manifest = self.plan.manifest
        typed = next_command.restore(manifest.filename if manifest else "", self.plan.target)
        said = self.plan.choices.neutralize
        return typed if said is None else f"{typed} {'--neutralize' if said else '--no-neutralize'}"


class RestoreBackup(Page):
    """Of one backup, onto a target that the settings name."""

    tab = "restores"
    action = "restore"
    needs = Action.RESTORE
    needs_to_post: ClassVar[Action | None] = Action.RESTORE

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """The plan; first the choice of the target, where there are several.

        It comes in two steps: store and target may be far away, or not answer.
        """
        row = found(BackupHistory.objects.defer("table_snapshot"), id)
        chosen = _chosen(request.GET)
        if not chosen or self.is_asked_whole:
            return self._planned(row, request.GET)
        server = targets.allowed(chosen)
        return self.soon("backups/restore_soon.html", row=row, database=server.database, address=server.address)

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Queues it, where the right name was typed, and leads to its page."""
        row = found(BackupHistory.objects.defer("table_snapshot"), id)
        target, confirm = request.POST.get("target", ""), request.POST.get("confirm", "")
        neutralize = _NEUTRALIZE.get(request.POST.get("neutralize", ""))
        server = targets.allowed(target)  # looked up first: once it is queued, nothing may fail that is said of it
        try:
            _require_meant(row, request.POST.get("bad", ""))
            made = asking.for_restore(row, target=target, confirm=confirm, neutralize=neutralize, user=request.user)
        except UsageError as error:
            self.note_refusal(str(error))
            return self._planned(row, request.POST, wrong=error, status=400)
        except OfRunError as error:
            address = reverse(f"backups_panel:{error.which}", args=[error.id])
            return self.failed(error, other=address)
        self.note(object=row.filename, target=server.address, detail=str(made.id), queued=True)
        return self.done(_("The restore is queued."), to=reverse("backups_panel:restore", args=[made.id]))

    def _planned(self, row: BackupHistory, given: Any, *, wrong: BackupsError | None = None, status: int = 200) -> HttpResponse:
        chosen = _chosen(given)
        told: dict[str, Any] = {"row": row, "targets": _named(conf.current().restore_targets), "chosen": chosen, "wrong": wrong}
        if not chosen:
            command = shlex.join(["icb", "db", "restore", row.filename, "--target-dbname", "NEW_NAME"])
            return self.show("backups/restore_target.html", command_text=command, **told)
        neutralize = _NEUTRALIZE.get(given.get("neutralize", ""))
        plan = asking.restore_of(row, target=chosen, neutralize=neutralize).plan()
        worker = health.worker_of(BACKUPS)
        return self.show(
            "backups/restore_plan.html",
            status=status,
            plan=plan,
            planned=Planned(plan, row),
            neutralize=given.get("neutralize", ""),
            worker=worker if worker.state is not State.OK else None,
            not_in_a_backup=NOT_IN_A_BACKUP,
            typed=given.get("confirm", ""),
            is_ticked=bool(given.get("bad", "")),
            **told,
        )


def _require_meant(row: BackupHistory, ticked: str) -> None:
    """That whoever restores a backup that was found bad, maybe since the plan was looked at, has said so. Raises UsageError."""
    if row.bad_at is not None and not ticked:
        raise UsageError(
            sentence(
                gettext_noop("{filename} was found bad. Tick that you want it all the same. Nothing was touched."),
                filename=row.filename,
            )
        )


def _chosen(given: Any) -> str:
    """The target: the one that was said, or the only one there is; "" where one is to be chosen."""
    allowed = conf.current().restore_targets
    return str(given.get("target", allowed[0] if len(allowed) == 1 else ""))


def _named(aliases: Any) -> list[dict[str, str]]:
    """Each target with its database, as far as the settings can tell."""
    named = []
    for alias in aliases:
        try:
            server = conf.server(alias)
        except BackupsError as error:
            named.append({"alias": alias, "database": "", "address": error.message})
        else:
            named.append({"alias": alias, "database": server.database, "address": server.address})
    return named


urlpatterns = [path("<uuid:id>/restore/", RestoreBackup.as_page(), name="restore-backup")]
