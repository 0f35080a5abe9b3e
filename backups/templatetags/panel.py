"""What the panel's templates write again and again: icons, pills, times, sizes, commands to copy."""

from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from backups import words
from backups.admin import figures, nouns, pills
from backups.kept import kept_until
from backups.sentences import translated

register = template.Library()
register.filter("size", figures.size)
register.filter("duration", figures.duration)
register.filter("number", figures.number)
register.filter("rows", figures.rows)
register.filter("tables", figures.tables)
register.filter("span", figures.span)
register.filter("change", figures.change)
register.filter("said", translated)
register.filter("plain", words.printable)  # names that somebody else has chosen: nothing in them turns or hides what follows
register.filter("noun", nouns.noun)
register.filter("heading", nouns.heading)
register.filter("kept_until", kept_until)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One of the panel's drawings: check, cross, turn, bang, ring, dot, stop, proof, folder, file, pin, down, next. Hidden from
    screen readers unless it has a label.
    """
    if label:
        return format_html('<svg class="i" role="img" aria-label="{}"><use href="#bk-{}"/></svg>', label, name)
    return format_html('<svg class="i" aria-hidden="true"><use href="#bk-{}"/></svg>', name)


@register.simple_tag
def seal(name: str) -> SafeString:
    """The verdict's: ok, bad, none."""
    return format_html('<svg class="seal" aria-hidden="true"><use href="#bk-seal-{}"/></svg>', name)


@register.simple_tag
def age(moment: datetime | None) -> SafeString | str:
    """How old a moment is, with its UTC on hover; a dash for none."""
    return _time(moment, figures.age(moment)) if moment else figures.UNKNOWN


@register.simple_tag
def clock(moment: datetime | None) -> SafeString | str:
    """A moment on the viewer's clock, with its UTC on hover; a dash for none."""
    return _time(moment, figures.clock(moment)) if moment else figures.UNKNOWN


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """Its age, and below it its clock: two lines of a cell."""
    return format_html("{}<small>{}</small>", age(moment), clock(moment)) if moment else figures.UNKNOWN


@register.simple_tag
def status(row: Any) -> SafeString:
    """What became of a run."""
    return _pill(pills.of_status(row))


@register.simple_tag
def proof(row: Any) -> SafeString:
    """What is proven of a backup."""
    pill = pills.of_proof(row)
    if pill is None:
        return format_html('<span class="dim" aria-label="{}">–</span>', _("nothing to verify"))
    return _pill(pill)


@register.simple_tag
def pill(kind: str, mark: str, label: str) -> SafeString:
    """Another one: kind ok, warn, bad or run."""
    return _pill(pills.Pill(kind=kind, icon=mark, label=label))


@register.inclusion_tag("backups/parts/command.html")
def command(text: str, what: str = "") -> dict[str, str]:
    """A command, key or hash to copy. `what` names it for who does not see it: the command."""
    return {"text": text, "what": what or _("the command")}


def _time(moment: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), figures.utc(moment), text)


def _pill(given: pills.Pill) -> SafeString:
    return format_html('<span class="pill {}">{}{}</span>', given.kind, icon(given.icon), given.label)
