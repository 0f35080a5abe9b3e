"""The look: what is wrong now, against what was. New problems open incidents, and what is no more closes them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import Error as DatabaseError

from backups import conf, history
from backups.alerting.incidents import Problem, end, forget, key_of, note, open_ones
from backups.alerting.problems import BACKUP_FAILED, EVENTS, newest_ended, of_history, undecided
from backups.types import Check, State

UNTOLD_CHECKS = frozenset({"success-rate", "schedule"})  # they follow from failures that are told each


@dataclass(kw_only=True)
class Looked:
    """Keys of incidents: opened by this look, and how many are known from before and were closed."""

    opened: list[str] = field(default_factory=list)
    known: int = 0
    closed: int = 0


def look(checks: Sequence[Check] = ()) -> Looked:
    """Compares what is with what was known. Of the checks of health, those that were not made change nothing, and no more do
    those that could not look.

    Raises HistoryError and ConfigurationError.
    """
    environment = conf.current().environment
    try:
        ended = newest_ended(environment)
        held = {key_of(BACKUP_FAILED, database) for database in undecided(environment, ended)}
        problems = [problem for problem in of_history(environment, ended=ended) if problem.key not in held]
        problems += [_problem_of(check, environment) for check in checks if _is_bad(check)]
        looked = Looked()
        for problem in problems:
            if note(problem):
                looked.opened.append(problem.key)
            else:
                looked.known += 1
        unclear = {key_of(check.id, check.subject) for check in checks if check.state is State.UNKNOWN}
        looked_at = {*EVENTS, *(check.id for check in checks)}
        still = {problem.key for problem in problems} | held | unclear
        over = open_ones().filter(event__in=looked_at).exclude(key__in=still)
        answered = {key_of(check.id, check.subject) for check in checks}
        looked.closed = forget(over.filter(event__in={check.id for check in checks}).exclude(key__in=answered))
        looked.closed += end(over)
    except DatabaseError as error:
        raise history.unreachable(error) from error
    return looked


def _is_bad(check: Check) -> bool:
    return check.state is State.BAD and check.id not in UNTOLD_CHECKS


def _problem_of(check: Check, environment: str) -> Problem:
    subject = f" {check.subject}" if check.subject else ""
    return Problem(
        event=check.id,
        subject=check.subject,
        message=f"{environment}: {check.id}{subject}: {check.text}",
        detail=f"It is not OK when: {check.threshold}" if check.threshold else "",
        hint="\n".join(filter(None, (check.hint, "Everything at a glance: icb db health"))),
    )
