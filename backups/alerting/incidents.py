"""Incidents: at most one of a key is open, however many see it at once."""

import hashlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.utils import IntegrityError
from django.utils import timezone

from backups import conf, stores
from backups.exceptions import BackupsError
from backups.models import Incident

LONGEST_KEY = 200
LONGEST_DETAIL = 4000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong now. `message` says in one line what happened and where, `detail` what was seen, `hint` what to type next."""

    event: str
    subject: str = ""
    message: str
    detail: str = ""
    hint: str = ""

    @property
    def key(self) -> str:
        """By which it is the same problem the next time."""
        return key_of(self.event, self.subject)


def key_of(event: str, subject: str) -> str:
    """event:subject, and where that is too long its beginning and a hash."""
    key = f"{event}:{subject}"
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{key[: LONGEST_KEY - len(digest) - 1]}~{digest}"


def subject_of(incident: Incident) -> str:
    """What it is about."""
    return incident.key.removeprefix(f"{incident.event}:")


def open_ones() -> QuerySet[Incident]:
    """Of this environment."""
    return Incident.objects.filter(environment=conf.current().environment, closed_at=None)


def note(problem: Problem) -> bool:
    """Opens an incident, or notes that the open one was seen again. True for a new one. Raises what Django's database does."""
    texts = _scrubbed(problem)
    if _seen_again(problem, texts):
        return False
    try:
        with transaction.atomic():
            Incident.objects.create(environment=conf.current().environment, key=problem.key, event=problem.event, **texts)
    except IntegrityError:  # somebody else was first
        _seen_again(problem, texts)
        return False
    return True


def end(incidents: QuerySet[Incident]) -> int:
    """Closes those of them that are open; returns how many."""
    return incidents.filter(closed_at=None).update(closed_at=timezone.now())


def forget(incidents: QuerySet[Incident]) -> int:
    """Closes those whose subject is looked at no more; returns how many. Nobody is told: that it ended well nobody knows."""
    now = timezone.now()
    return incidents.filter(closed_at=None).update(closed_at=now, end_told_at=now)


def opened(*, event: str, subject: str = "", message: str, detail: str = "", hint: str = "") -> None:
    """Something is wrong that only its finder sees: what a prune or a sync found. Raises nothing: no job fails for it."""
    problem = Problem(event=event, subject=subject, message=message, detail=detail, hint=hint)
    _quietly(lambda: note(problem), doing=f"noting {problem.key}")


def over(*, event: str, subject: str = "") -> None:
    """It is so no more, whether or not it was. Raises nothing."""
    key = key_of(event, subject)
    _quietly(lambda: end(open_ones().filter(key=key)), doing=f"closing {key}")


def over_but_for(subjects: Collection[str], *, event: str) -> None:
    """It is so no more but for these, also where a subject is gone for good. Raises nothing."""
    still = [key_of(event, subject) for subject in subjects]
    _quietly(lambda: end(open_ones().filter(event=event).exclude(key__in=still)), doing=f"closing {event}")


def _seen_again(problem: Problem, texts: dict[str, str]) -> bool:
    same = open_ones().filter(key=problem.key)
    return bool(same.update(seen_at=timezone.now(), times=F("times") + 1, **texts))


def _scrubbed(problem: Problem) -> dict[str, str]:
    """A part of them comes from other programs, and goes to phones."""
    error = BackupsError(problem.message, detail=problem.detail[-LONGEST_DETAIL:], hint=problem.hint).scrub(stores.secrets())
    return {"message": error.message, "detail": error.detail, "hint": error.hint}


def _quietly(work: Callable[[], object], *, doing: str) -> None:
    try:
        with transaction.atomic():  # a failure must not end the transaction of whoever calls
            work()
    except (DatabaseError, BackupsError):
        logger.warning("An incident could not be recorded: %s.", doing, exc_info=True)
