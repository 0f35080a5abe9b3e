"""A language in which every text that is translated is marked, and the reader who finds what is not."""

import gettext
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

LANGUAGE = "xx"
BEGIN, END = "⟦", "⟧"
# Marks end before each place for a value and begin again after it: what comes into a sentence from elsewhere is seen as well.
_PLACE = re.compile(r"(%%|%\([^)]+\)[a-z]|%[sd]|\{[^{}]*\})")
_READ_ALOUD = ("title", "aria-label", "placeholder", "alt")
_UNSEEN = {"script", "style", "template"}


class Marked(gettext.NullTranslations):
    """In the place of a catalogue of Django's; remembers what it was asked for."""

    domain = "django"

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def gettext(self, message: str) -> str:
        text = message.rpartition("\x04")[2]
        self.asked.add(text)
        return "".join(_marked(piece) for piece in _PLACE.split(text))

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        self.asked.add(msgid1.rpartition("\x04")[2])
        return self.gettext(msgid1 if n == 1 else msgid2)

    def language(self) -> str:
        return LANGUAGE

    def to_language(self) -> str:
        return LANGUAGE


def _marked(piece: str) -> str:
    return f"{BEGIN}{piece}{END}" if piece.strip() and not _PLACE.fullmatch(piece) else piece


class Reader(HTMLParser):
    """What a page shows or reads aloud, in its order: pieces of text, each with the classes and tags around it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._around: list[tuple[str, set[str]]] = []
        self.pieces: list[tuple[str, set[str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        around = {tag, *(given.get("class") or "").split()}
        if tag == "meta" or given.get("type") == "hidden":
            return
        for name in _READ_ALOUD:
            if given.get(name):
                self.pieces.append((str(given[name]), {f"@{name}", *around}))
        if tag not in ("input", "link", "br", "img", "hr", "col"):
            self._around.append((tag, around))

    def handle_endtag(self, tag: str) -> None:
        while self._around and self._around.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        around = set().union(*(classes for _tag, classes in self._around))
        if not around & _UNSEEN:
            self.pieces.append((data, around))


def unmarked(page: str) -> Iterator[tuple[str, set[str]]]:
    """Every text of a page that no catalogue was asked for."""
    depth = 0
    for text, around in Reader(page).pieces:
        found, own = "", 0 if any(one.startswith("@") for one in around) else depth
        for character in text:
            if character == BEGIN:
                own += 1
            if not own:
                found += character
            elif character == BEGIN and found and own == 1:
                found += "\0"
            if character == END:
                own -= 1
        if not any(one.startswith("@") for one in around):
            depth = own
        for piece in re.split("\0", found):
            if piece.strip():
                yield piece.strip(), around


def left(pieces: Iterable[tuple[str, set[str]]], *, data_in: set[str], known: set[str], shapes: Iterable[str]) -> list[str]:
    """Of them what is no data: neither inside of an element of those classes or tags, nor made of known values and shapes only.
    A value that is known counts before a shape that is in it, except for the first two: sizes and commands.
    """
    values = sorted({value.strip() for value in known if re.search(r"[^\W\d_]", value)}, key=len, reverse=True)
    sizes, commands, *others = shapes
    names = (rf"(?<!\w){re.escape(' '.join(value.split()))}(?!\w)" for value in values)
    pattern = re.compile("|".join([sizes, commands, *names, *others]), re.IGNORECASE)
    found = []
    for text, around in pieces:
        rest = pattern.sub(" ", " ".join(text.split()))
        if not around & data_in and re.search(r"[^\W\d_]", rest):
            found.append(text)
    return found
