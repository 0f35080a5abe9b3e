"""What a restore would do, and everything that stands against it, looked up before a byte is downloaded.

`nouns` says what a plan is, `checks` has what may stand against it, `making` puts it together.
"""

from backups.plan.checks import of_environment
from backups.plan.making import make_plan, place_of_history
from backups.plan.nouns import NOT_IN_A_BACKUP, Check, Choices, HistoryPlace, Level, Plan

__all__ = [
    "NOT_IN_A_BACKUP",
    "Check",
    "Choices",
    "HistoryPlace",
    "Level",
    "Plan",
    "make_plan",
    "of_environment",
    "place_of_history",
]
