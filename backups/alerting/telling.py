"""The telling: each incident once when it has begun, and once when it has ended. What nobody took is tried again."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db.models import QuerySet
from django.utils import timezone

from backups import conf, history, notifications
from backups.alerting import messages
from backups.alerting.events import OF_A_RECEIVER
from backups.alerting.incidents import Problem, end, key_of, note, open_ones
from backups.exceptions import RunningError
from backups.models import Incident
from backups.notifications import Message, Receiver
from backups.postgres.named_lock import named_lock

MOST_APART = 3  # more at once are one message: a phone that never stops is switched off
MOST_REFUSED = 2
LATEST_END = timedelta(days=1)  # after which nobody needs to hear that it is over
LONGEST_WAIT = timedelta(hours=1)  # between two tries


@dataclass(kw_only=True)
class Told:
    """How many incidents were told, and which receivers did not take a message, and why."""

    opened: int = 0
    ended: int = 0
    problems: list[str] = field(default_factory=list)


def tell() -> Told:
    """Tells what is untold, each to every receiver; told is what at least one of them took.

    Two of these at once tell everything once: the second leaves it to the first. One that dies between sending and noting it
    lets the next send again: rather twice than never. Raises HistoryError, ConnectError and ConfigurationError.
    """
    told = Told()
    receivers = notifications.receivers()
    try:
        if receivers and (_untold_begun().exists() or _untold_ended().exists()):
            with suppress(RunningError), named_lock(history.server(), f"tell:{conf.current().environment}"):
                _Teller(receivers, told).run()
    except DatabaseError as error:
        raise history.unreachable(error) from error
    return told


class _Teller:
    """One telling, alone at it."""

    def __init__(self, receivers: Sequence[Receiver], told: Told) -> None:
        self.receivers = receivers
        self.told = told
        end(_of_receivers().exclude(key__in=self._keys()))  # which nobody has configured any more

    def run(self) -> None:
        if self._must_wait():
            return
        self.told.opened += self._tell(_untold_begun().exclude(event=OF_A_RECEIVER), messages.begun, "told_at")
        self.told.ended += self._tell(_untold_ended(), messages.ended, "end_told_at")
        if 0 < _of_receivers().count() < len(self.receivers):  # else there is nobody to tell it
            self.told.opened += self._tell(_untold_begun().filter(event=OF_A_RECEIVER), messages.begun, "told_at")

    def _tell(self, untold: QuerySet[Incident], words: Callable[[Sequence[Incident]], Message], stamp: str) -> int:
        """Each in a message of its own, or all in one where they are many. One that nobody takes holds up no other, but where
        nobody takes two, they are away."""
        incidents = list(untold.order_by("opened_at"))
        groups = [incidents] if len(incidents) > MOST_APART else [[one] for one in incidents]
        count = refused = 0
        for group in groups:
            if refused == MOST_REFUSED:
                break
            if not self._send(words(group)):
                refused += 1
                continue
            count += Incident.objects.filter(pk__in=[one.pk for one in group]).update(**{stamp: timezone.now()})
        return count

    def _send(self, message: Message) -> bool:
        """Whether somebody took it. Of whoever did not, the others will hear."""
        deliveries = notifications.deliver(message, self.receivers)
        for delivery in deliveries:
            if not delivery.problem:
                end(_of_receivers().filter(key=key_of(OF_A_RECEIVER, delivery.receiver)))
                continue
            self.told.problems.append(f"{delivery.receiver}: {delivery.problem}")
            note(
                Problem(
                    event=OF_A_RECEIVER,
                    subject=delivery.receiver,
                    message=f"{delivery.receiver} did not take an alert of {conf.current().environment}.",
                    detail=delivery.problem,
                    hint=f"{delivery.hint}\nTry it: icb db alert-test",
                )
            )
        return any(not delivery.problem for delivery in deliveries)

    def _must_wait(self) -> bool:
        """Where nobody took the last one, the next try comes later each time, unless there is something new to tell."""
        failing = list(_of_receivers())
        if len(failing) < len(self.receivers):
            return False
        last = max(one.seen_at for one in failing)
        newer = _untold_begun().exclude(event=OF_A_RECEIVER).filter(opened_at__gt=last)
        if newer.exists() or _untold_ended().filter(closed_at__gt=last).exists():
            return False
        return timezone.now() < last + wait(min(one.times for one in failing))

    def _keys(self) -> list[str]:
        return [key_of(OF_A_RECEIVER, receiver.name) for receiver in self.receivers]


def wait(tries: int) -> timedelta:
    """After so many tries in vain: one minute, two, four, up to LONGEST_WAIT."""
    return min(timedelta(minutes=2 ** min(tries - 1, 10)), LONGEST_WAIT)


def _untold_begun() -> QuerySet[Incident]:
    """What began and ended untold stays untold: nobody is woken for what is over."""
    return open_ones().filter(told_at=None)


def _untold_ended() -> QuerySet[Incident]:
    ended = Incident.objects.filter(environment=conf.current().environment, told_at__isnull=False, end_told_at=None)
    return ended.filter(closed_at__gt=timezone.now() - LATEST_END)


def _of_receivers() -> QuerySet[Incident]:
    return open_ones().filter(event=OF_A_RECEIVER)
