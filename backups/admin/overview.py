"""The first page: am I safe, what would I lose, how long until I'm back?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone

from backups import conf, health
from backups.admin import attention, safety
from backups.admin.attention import Issue
from backups.admin.coming import coming
from backups.admin.evidence import facts_of
from backups.admin.page import Page
from backups.admin.running import running, spoken
from backups.admin.safety import Facts, Level, Safety
from backups.admin.trends import trends_of
from backups.alerting.incidents import key_of
from backups.health import of_schedule
from backups.health.deciding import ASKED
from backups.health.sites import Site, sites, unwatched
from backups.heartbeats import BACKUPS
from backups.models import BackupHistory
from backups.schedules import Schedule, backup_schedules
from backups.storage import keys
from backups.types import Check, State

RECENT = 6
FIRST = "first"  # the description of the first backup
_OF_A_BACKUP = ("newest-backup", "verification", "restore-duration")  # checks that the page for no backups answers by itself
_ROW = (
    *("id", "filename", "description", "backup_type", "database", "status", "error_message", "created_at", "started_at"),
    *(
        "finished_at",
        "duration_seconds",
        "size_bytes",
        "database_size_bytes",
        "stored_at",
        "readable_at",
        "verified_at",
        "bad_at",
    ),
    *("missing_at", "deleted_at", "progress", "triggered_by"),
)


@dataclass(frozen=True, kw_only=True)
class Other:
    """A database that is configured, and has neither a backup nor a schedule."""

    alias: str
    label: str
    is_target: bool


@dataclass(frozen=True, kw_only=True)
class Board:
    """The answer: of all databases, and of the one that is shown."""

    site: Site
    shown: Safety
    worst: Safety
    all: list[Safety]
    issues: list[Issue]
    others: list[Other]

    @property
    def is_empty(self) -> bool:
        """Whether no backup was ever made, of any database."""
        return all(one.level is Level.NONE for one in self.all)

    @property
    def forgotten(self) -> list[str]:
        """Databases without a backup that no restore may go onto: somebody may have forgotten them."""
        return [one.label for one in self.others if not one.is_target]

    @property
    def restorable(self) -> safety.Copy | None:
        """The backup that a restore would begin with: the newest that is verified, else the newest."""
        return self.shown.facts.proven or self.shown.facts.newest

    @property
    def seal(self) -> str:
        """Which of the drawings."""
        if self.is_empty or self.worst.level is Level.UNKNOWN:
            return str(Level.NONE)
        return str(Level.SAFE if self.worst.is_ok else Level.BAD)

    @property
    def mark(self) -> str:
        """Of the answers and their reasons: the same for the same."""
        told = [(one.facts.alias, one.level, one.reasons) for one in self.all]
        return f"{crc32(repr(told).encode()):08x}"


class Overview(Page):
    """The answer, with its numbers."""

    tab = "overview"

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page. `?database=` is the alias of the one that numbers and charts are of; else the least safe."""
        now = timezone.now()
        board = board_of(request.GET.get("database", ""), now=now)
        at_work = running()
        common: dict[str, Any] = {
            "board": board,
            "running": at_work,
            "said": spoken(at_work),
            "coming": coming(now=now),
            "is_told": _is_anybody_told(),
        }
        if board.is_empty:
            key = keys.object_key(environment=conf.current().environment, filename=keys.filename(at=now, description=FIRST))
            is_up = health.worker_of(BACKUPS).state is State.OK  # a worker shows that by the scheduler, so both run
            common |= {"key": key, "first": FIRST, "longest": keys.MAX_DESCRIPTION, "is_up": is_up}
            return self.show("backups/overview/empty.html", **common)
        rows = BackupHistory.objects.of_environment(conf.current().environment)
        return self.show(
            "backups/overview.html",
            recent=rows.newest_first().select_related("triggered_by").only(*_ROW)[:RECENT],
            count=rows.count(),
            trends=trends_of(board.site, now=now),
            **common,
        )


class Running(Page):
    """What is at work now: the part of the first page that keeps itself up to date."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Without a script, the first page. What ends while somebody looks makes the rest of that page be read again."""
        if "HX-Request" not in request.headers:
            return HttpResponseRedirect(reverse("backups_panel:overview"))
        found = running()
        said = spoken(found)
        is_news = request.GET.get("said", "") != said
        answer = self.show("backups/overview/running.html", running=found, said=said, is_news=is_news)
        if len(found) < _number(request.GET.get("was", "")):
            answer["HX-Trigger"] = "backups-ended"
        return answer


def board_of(alias: str, *, asked: Sequence[Check] | None = None, now: datetime) -> Board:
    """`asked` are checks for which servers and stores were asked just now; without, open incidents tell of the last look.

    Raises what Django's database does.
    """
    schedules = backup_schedules()
    known = sites(frozenset(schedule.database for schedule in schedules))
    facts = [facts_of(site, schedules, now=now) for site in known]
    issues = _issues(facts, schedules, now)
    limits = conf.current().health
    looked_at = _told(issues) if asked is None else asked
    all_ = [safety.safety_of(one, limits, asked=_about(one, looked_at), now=now) for one in facts]
    worst = safety.least_safe(all_)
    shown = next((one for one in all_ if one.facts.alias == alias), worst)
    site = next(site for site in known if site.alias == shown.facts.alias)
    if all(one.level is Level.NONE for one in all_):
        issues = [issue for issue in issues if not issue.key.startswith(tuple(f"{id_}:" for id_ in _OF_A_BACKUP))]
    return Board(site=site, shown=shown, worst=worst, all=all_, issues=issues, others=_others(known))


def _others(known: list[Site]) -> list[Other]:
    targets = conf.current().restore_targets
    return [Other(alias=one.alias, label=one.name, is_target=one.alias in targets) for one in unwatched(known)]


def _issues(facts: list[Facts], schedules: list[Schedule], now: datetime) -> list[Issue]:
    checks = [check for one in facts for check in one.checks.values()]
    return attention.issues(facts, [*checks, *of_schedule.checks(conf.current().health, schedules=schedules, now=now)])


def _told(issues: list[Issue]) -> list[Check]:
    """What the last look has found, by its incidents: what could not be asked then opens none."""
    parts = (issue.key.partition(":") for issue in issues)
    return [Check(id=event, subject=subject, state=State.BAD, text="") for event, _colon, subject in parts if event in ASKED]


def _about(facts: Facts, checks: Sequence[Check]) -> list[Check]:
    """A bucket is everybody's; a role is one database's."""
    own = key_of("backup-role", facts.database)  # a long name is shortened in the key of an incident
    return [
        check
        for check in checks
        if check.id == "bucket-reachable" or (check.id == "backup-role" and key_of(check.id, check.subject) == own)
    ]


def _is_anybody_told() -> bool:
    settings = conf.current()
    return bool(settings.alert_urls or settings.alert_emails)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


urlpatterns = [
    path("", Overview.as_page(), name="overview"),
    path("running/", Running.as_page(), name="running"),
]
