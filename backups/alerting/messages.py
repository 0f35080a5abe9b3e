"""Incidents in the words of a message, for somebody who was asleep a moment ago."""

from collections.abc import Sequence

from backups import words
from backups.alerting import events
from backups.alerting.incidents import subject_of
from backups.models import Incident
from backups.notifications import Kind, Message

LONGEST_TITLE = 120
LONGEST_BODY = 1800  # the shortest limit among well-known receivers is Discord's, of 2,000
MOST_IN_ONE = 12


def begun(incidents: Sequence[Incident]) -> Message:
    """One, with everything that is known; or many, a line each."""
    if len(incidents) > 1:
        return _many(incidents, [events.begins(one.event, subject_of(one)) for one in incidents], "problems", Kind.FAILURE)
    (one,) = incidents
    title = events.begins(one.event, subject_of(one))
    return _message(one, title, "\n".join(filter(None, (one.message, one.detail, one.hint))), Kind.FAILURE)


def ended(incidents: Sequence[Incident]) -> Message:
    """How long it lasted, and what it was."""
    if len(incidents) > 1:
        return _many(incidents, [events.ends(one.event, subject_of(one)) for one in incidents], "problems over", Kind.SUCCESS)
    (one,) = incidents
    assert one.closed_at is not None
    lasted = words.duration((one.closed_at - one.opened_at).total_seconds())
    span = f"It lasted {lasted}: from {one.opened_at:%Y-%m-%d %H:%M} to {one.closed_at:%Y-%m-%d %H:%M} UTC."
    title = events.ends(one.event, subject_of(one))
    body = "\n".join(filter(None, (f"Over: {one.message}", span, events.note(one.event))))
    return _message(one, title, body, Kind.SUCCESS)


def _message(one: Incident, title: str, body: str, kind: Kind) -> Message:
    return Message(title=_clipped(f"{one.environment}: {title}", LONGEST_TITLE), body=_body(body), kind=kind)


def _many(incidents: Sequence[Incident], titles: Sequence[str], what: str, kind: Kind) -> Message:
    environment = incidents[0].environment
    lines = [f"- {title}" for title in titles[:MOST_IN_ONE]]
    more = len(titles) - MOST_IN_ONE
    lines += [f"and {more} more"] if more > 0 else []
    hint = "Where to begin: icb db list, and icb db health"
    return Message(title=f"{environment}: {len(titles)} {what}", body=_body("\n".join([*lines, hint])), kind=kind)


def _clipped(text: str, longest: int) -> str:
    text = words.printable(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _body(text: str) -> str:
    """Too long, it loses what is in its middle: the first line says what happened, the last what to do."""
    lines = [words.printable(line.expandtabs()) for line in text.splitlines()]
    text = "\n".join(lines)
    half = LONGEST_BODY // 2
    return text if len(text) <= LONGEST_BODY else f"{text[:half]}\n…\n{text[-half:]}"
