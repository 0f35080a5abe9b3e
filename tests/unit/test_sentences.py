"""Sentences: English wherever they are written, and in the reader's language where they are read."""

import copy
import json
from collections.abc import Callable, Iterator

import pytest
from django.template import Context, Template
from django.utils import translation
from django.utils.html import format_html
from django.utils.translation import trans_real

from backups.exceptions import RefusedError
from backups.sentences import joined, translated
from backups.sentences import sentence as _
from backups.sentences import sentences as ngettext

GERMAN = {"{free} free in {folder}": "In {folder} sind {free} frei", "{time} ago": "vor {time}", "just <now>": "gerade <jetzt>"}


class German(trans_real.gettext_module.NullTranslations):
    """A catalogue of three sentences and a plural."""

    domain = "django"

    def gettext(self, message: str) -> str:
        return GERMAN.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return "{n} Lauf" if n == 1 else "{n} Läufe"

    def language(self) -> str:
        return "xx"

    def to_language(self) -> str:
        return "xx"


@pytest.fixture(autouse=True)
def in_german(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(trans_real._translations, "xx", German())
    with translation.override("xx"):
        yield


FREE = _("{free} free in {folder}", free="5 MiB", folder="/srv")


@pytest.mark.parametrize("written", [str, json.dumps, "{}".format, lambda text: text + ""])
def test_it_is_english_wherever_it_is_written(written: Callable[[str], str]) -> None:
    assert "5 MiB free in /srv" in written(FREE)


def test_a_template_and_format_html_say_it_in_the_readers_language_and_escaped() -> None:
    assert Template("{{ text }}").render(Context({"text": FREE})) == "In /srv sind 5 MiB frei"
    assert format_html("<b>{}</b>", _("just <now>")) == "<b>gerade &lt;jetzt&gt;</b>"


def test_a_sentence_inside_of_a_sentence_is_translated_too() -> None:
    text = _("{free} free in {folder}", free=_("{time} ago", time="5 h"), folder="x")
    assert (str(text), translated(text)) == ("5 h ago free in x", "In x sind vor 5 h frei")
    assert translated(joined("; ", (FREE, "as it is"))) == "In /srv sind 5 MiB frei; as it is"


@pytest.mark.parametrize(("number", "english", "german"), [(1, "1 run", "1 Lauf"), (3, "3 runs", "3 Läufe")])
def test_a_plural_is_the_languages_own(number: int, english: str, german: str) -> None:
    text = ngettext("{n} run", "{n} runs", number, n=number)
    assert (str(text), translated(text)) == (english, german)


def test_it_stays_a_sentence_in_a_copy_and_in_an_error_without_secrets() -> None:
    assert translated(copy.deepcopy(FREE)) == "In /srv sind 5 MiB frei"
    error = RefusedError(FREE, hint=FREE).scrub(["pass"])
    assert (str(error), translated(error.message)) == ("5 MiB free in /srv\n5 MiB free in /srv", "In /srv sind 5 MiB frei")


def test_with_a_secret_in_it_it_is_plain_text_without_the_secret() -> None:
    error = RefusedError(_("{free} free in {folder}", free="1", folder="pass")).scrub(["pass"])
    assert translated(error.message) == "1 free in ***"
