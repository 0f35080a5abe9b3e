"""Sentences that are English wherever they are written, logged, stored or sent, and in the reader's language where they are read.

A `Sentence` is the English text. Django's templates and `format_html` ask it for `__html__`, and get it in the language of
whoever looks at the page; the panel's Python asks `translated`. So one and the same error is English in the audit, in JSON, in a
row and on a terminal. Without Django nothing is translated.

A module imports `sentence as _` and `sentences as ngettext`: under these names makemessages finds what they are given.
"""

from collections.abc import Callable, Iterable
from html import escape
from typing import Any, ClassVar


class Sentence(str):
    """The English text, and of what it is made: whole sentences with named parts, of which some may be sentences, too."""

    gettext: ClassVar[Callable[..., str]] = staticmethod(lambda text: text)
    ngettext: ClassVar[Callable[..., str]] = staticmethod(lambda one, many, number: one if number == 1 else many)

    one: str
    many: str
    number: int
    is_joined: bool = False
    parts: dict[str, str]

    def translated(self) -> str:
        """In the language that is active."""
        if self.is_joined:
            whole = self.one
        else:
            whole = self.ngettext(self.one, self.many, self.number) if self.many else self.gettext(self.one)
        if not self.parts:
            return str(whole)
        return str(whole.format(**{name: translated(part) for name, part in self.parts.items()}))

    def __html__(self) -> str:
        return escape(self.translated())


def sentence(text: str, /, **parts: Any) -> Sentence:
    """A sentence with its parts in the places that are named for them: "{free} free in {folder}". Without, no brace counts."""
    return _made(text.format(**parts) if parts else text, text, "", 1, parts)


def sentences(one: str, many: str, number: int, /, **parts: Any) -> Sentence:
    """The one or the other, by the number."""
    text = one if number == 1 else many
    return _made(text.format(**parts) if parts else text, one, many, number, parts)


def joined(between: str, texts: Iterable[str]) -> Sentence:
    """Several whole ones, one after another."""
    parts = {f"part{place}": text for place, text in enumerate(texts)}
    made = _made(between.join(parts.values()), between.join(f"{{{name}}}" for name in parts), "", 1, parts)
    made.is_joined = True
    return made


def translated(text: Any) -> Any:
    """In the language that is active, if it is a sentence; else what was given."""
    return text.translated() if isinstance(text, Sentence) else text


def _made(english: str, one: str, many: str, number: int, parts: dict[str, Any]) -> Sentence:
    made = Sentence(english)
    made.one, made.many, made.number = one, many, number
    made.parts = {name: part if isinstance(part, str) else str(part) for name, part in parts.items()}
    return made
