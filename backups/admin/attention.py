"""What needs somebody: open incidents, and the checks that the history alone answers; each with what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backups.admin.remedies import Remedy, remedies
from backups.admin.safety import Facts
from backups.alerting import events, problems
from backups.alerting.incidents import key_of, open_ones, subject_of
from backups.models import BackupHistory, Incident
from backups.sentences import translated
from backups.types import Check, State

_GRAVE = frozenset(
    {
        *(problems.BACKUP_FAILED, problems.VERIFICATION_FAILED, "backups-missing", "schedule-failed"),
        *("newest-backup", "verification", "bucket-reachable", "backup-role", "scheduler", "worker", "schedule"),
    }
)
# What the history alone answers; the rest of the checks asks servers, stores and folders.
FROM_HISTORY = frozenset(
    {"newest-backup", "verification", "restore-duration", "success-rate", "schedule", "scheduler", "worker", "queue", "broker"}
)
_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One thing. `said` are the words of others; `limit` is when it would not be OK; `run` is the backup it is about."""

    key: str
    level: str
    title: str
    text: str = ""
    limit: str = ""
    said: str = ""
    hint: str = ""
    run: UUID | None = None
    since: datetime | None = None
    seen_at: datetime | None = None
    told_at: datetime | None = None
    is_untold: bool = False

    @property
    def remedies(self) -> list[Remedy]:
        """What to do."""
        return remedies(self.hint)


def issues(facts: Sequence[Facts], checks: Iterable[Check]) -> list[Issue]:
    """The gravest first. `checks` are those that were made just now, from the history; of what they look at, an incident tells
    only since when it is so. Raises what Django's database does.
    """
    made = list(checks)
    incidents = {incident.key: incident for incident in open_ones().order_by("opened_at")}
    found = _failures(facts, incidents)
    found += [_of_check(check, incidents.get(key_of(check.id, check.subject))) for check in made if _is_amiss(check, made)]
    looked_at = {key_of(check.id, check.subject) for check in made}
    looked_at |= {key_of(problems.BACKUP_FAILED, one.database) for one in facts}
    rest = [incident for key, incident in incidents.items() if key not in looked_at]
    runs = _runs_named({subject_of(incident) for incident in rest})
    found += [_of_incident(incident, runs.get(subject_of(incident))) for incident in rest]
    return sorted(found, key=lambda issue: issue.level != "bad")


def issues_of(checks: Sequence[Check]) -> list[Issue]:
    """Those of them that are amiss."""
    return [_of_check(check, None) for check in checks if _is_amiss(check, checks)]


def not_told(found: Iterable[Issue]) -> list[Issue]:
    """Those that the first page does not tell by itself, by the history or an incident. Raises what Django's database does."""
    opened = open_keys()
    return [issue for issue in found if issue.key not in opened and issue.key.partition(":")[0] not in FROM_HISTORY]


def level_of(check: Check) -> str:
    """Of one: ok, warn or bad."""
    if check.state is State.OK:
        return "ok"
    return "bad" if check.state is State.BAD and check.id in _GRAVE else "warn"


def open_keys() -> set[str]:
    """Of the incidents. Raises what Django's database does."""
    return set(open_ones().values_list("key", flat=True))


def _is_amiss(check: Check, others: Sequence[Check]) -> bool:
    """How long a restore takes is measured by the verification that is missing already."""
    if check.id == "restore-duration" and check.state is State.UNKNOWN:
        return not any(one.id == "verification" and one.subject == check.subject and one.state is State.BAD for one in others)
    return check.state is not State.OK


def _of_check(check: Check, incident: Incident | None) -> Issue:
    return Issue(
        key=key_of(check.id, check.subject),
        level=level_of(check),
        title=_capital(events.begins(check.id, check.subject) if check.state is State.BAD else _unknown(check)),
        text=_capital(check.text),
        limit=check.threshold,
        hint=check.hint,
        since=incident.opened_at if incident is not None else None,
        told_at=incident.told_at if incident is not None else None,
        is_untold=incident is not None and incident.told_at is None,
    )


def _unknown(check: Check) -> str:
    name = f"{check.id.replace('-', ' ')} {check.subject}".strip()
    return _("Not known: %(check)s") % {"check": name}


def _of_incident(incident: Incident, run: UUID | None) -> Issue:
    return Issue(
        key=incident.key,
        level="bad" if incident.event in _GRAVE else "warn",
        title=_capital(events.begins(incident.event, subject_of(incident))),
        text=incident.message,
        said=incident.detail,
        hint=incident.hint.removesuffix("Everything at a glance: icb db health").strip(),
        run=run,
        since=incident.opened_at,
        seen_at=incident.seen_at,
        told_at=incident.told_at,
        is_untold=incident.told_at is None,
    )


def _failures(facts: Sequence[Facts], incidents: dict[str, Incident]) -> list[Issue]:
    """The newest failure of each database of which nothing has succeeded since."""
    failing = {one.failure: one for one in facts if one.failure is not None}
    rows = BackupHistory.objects.filter(pk__in=failing).only("id", "error_message", "finished_at", "created_at")
    found = []
    for row in rows.order_by("-created_at") if failing else ():
        one = failing[row.id]
        title = ngettext(
            "The last backup of %(database)s failed", "The last %(count)s backups of %(database)s failed", one.failed
        )
        incident = incidents.get(key_of(problems.BACKUP_FAILED, one.database))
        found.append(
            Issue(
                key=key_of(problems.BACKUP_FAILED, one.database),
                level="bad",
                title=title % {"database": one.database, "count": one.failed},
                text=_("Nothing of it was kept. Whatever was stored before is untouched."),
                said=_clipped(row.error_message),
                hint=_("Try again: %(command)s") % {"command": f"icb db backup again{one.option}"},
                run=row.id,
                since=incident.opened_at if incident is not None else row.finished_at or row.created_at,
                told_at=incident.told_at if incident is not None else None,
                is_untold=incident is not None and incident.told_at is None,
            )
        )
    return found


def _runs_named(filenames: set[str]) -> dict[str, UUID]:
    rows = BackupHistory.objects.filter(filename__in=filenames).values_list("filename", "id") if filenames else ()
    return dict(rows)


def _clipped(text: str) -> str:
    """The first line, which says what failed, and the last ones, which say why."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines if len(lines) <= _LINES else [lines[0], "…", *lines[1 - _LINES :]])


def _capital(text: str) -> str:
    """In the viewer's language. A name as pg_dump is left as it is."""
    text = translated(text)
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text
