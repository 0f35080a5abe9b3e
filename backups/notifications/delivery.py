"""One message to every receiver, at once, and who has taken it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backups import words
from backups.notifications.bounded import together
from backups.notifications.message import Kind, Message
from backups.notifications.receivers import Receiver

__all__ = ["Delivery", "Kind", "Message", "deliver"]

PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What became of a message at one receiver. `problem` is empty where it was taken."""

    receiver: str
    problem: str = ""
    hint: str = ""


def deliver(message: Message, to: Sequence[Receiver], *, patience_seconds: float = PATIENCE_SECONDS) -> list[Delivery]:
    """Brings it to all of them; returns after that time at the latest, and raises nothing."""
    work = {receiver.name: _taking(receiver, message) for receiver in to}
    problems = together(work, seconds=patience_seconds)
    late = f"It did not answer within {words.duration(patience_seconds)}."
    return [_delivery(receiver, problems.get(receiver.name, late)) for receiver in to]


def _delivery(receiver: Receiver, problem: str) -> Delivery:
    return Delivery(receiver=receiver.name, problem=problem, hint=receiver.hint if problem else "")


def _taking(receiver: Receiver, message: Message) -> Callable[[], str]:
    def take() -> str:
        try:
            return receiver.take(message)
        except Exception as error:  # noqa: BLE001 - whatever a library raises is a receiver that took nothing
            return f"{type(error).__name__} within the library that reaches it."

    return take
