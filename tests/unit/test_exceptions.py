"""Errors: what they say, and what they must never say."""

import json
import pickle
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups import exceptions
from backups.exceptions import ArchiveError, BackupsError, CancelledError, RefusedError, RunningError, StorageError, UsageError

ERRORS = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, BackupsError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_has_a_message_of_its_own_and_an_exit_code(kind: type[BackupsError]) -> None:
    assert kind().message == (kind.__doc__ or "").strip() != ""
    assert kind.exit_code in (1, 2, 3, 130)
    assert kind.__name__.endswith("Error")


def test_the_exit_code_tells_failure_wrong_usage_refusal_and_cancellation_apart() -> None:
    assert [kind.exit_code for kind in (StorageError, UsageError, RefusedError, RunningError, CancelledError)] == [
        1,
        2,
        3,
        3,
        130,
    ]


def test_its_text_is_message_detail_and_hint_a_line_each() -> None:
    assert str(ArchiveError("What.", detail=" seen\n", hint="Do.")) == "What.\nseen\nDo."
    assert str(ArchiveError("What.")) == "What."


def test_it_survives_the_way_to_another_process() -> None:
    back = pickle.loads(pickle.dumps(ArchiveError("What.", detail="seen", hint="Do.")))
    assert (type(back), back.message, back.detail, back.hint) == (ArchiveError, "What.", "seen", "Do.")


@pytest.mark.parametrize("where", ["message", "detail", "hint"])
@pytest.mark.parametrize(
    "as_written",
    [
        lambda secret: secret,
        quote,
        lambda secret: quote(secret, safe=""),
        lambda secret: re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        quote_plus,
        lambda secret: json.dumps(secret),
        lambda secret: "password='" + secret.replace("\\", "\\\\").replace("'", "\\'") + "'",
        lambda secret: f"postgres://user:{quote(secret, safe='')}@host/db",
    ],
)
def test_a_secret_is_taken_out_by_value_however_it_is_written(where: str, as_written) -> None:  # type: ignore[no-untyped-def]
    secret = "p@ss w/rd'\"\\ü+%"
    error = BackupsError(**{"message": "m", where: f"before {as_written(secret)} after"}).scrub([secret])

    assert "***" in getattr(error, where)
    assert "rd'" not in str(error)
    assert "ss w" not in str(error)
    assert "%40ss" not in str(error)
    assert getattr(error, where).startswith("before ")
    assert getattr(error, where).endswith(" after")
    assert error.args == (error.message,)


def test_a_secret_that_contains_another_goes_whole() -> None:
    for secrets in (["hunter", "hunter2secret"], ["hunter2secret", "hunter"]):
        assert str(BackupsError("hunter2secret, hunter").scrub(secrets)) == "***, ***"


def test_empty_secrets_change_nothing() -> None:
    assert str(BackupsError("as it was", detail="here").scrub(["", ""])) == "as it was\nhere"


@given(st.lists(st.text(st.characters(exclude_characters="*|"), min_size=1), max_size=4), st.text(max_size=30))
def test_no_secret_is_left_whatever_it_is(secrets: list[str], text: str) -> None:
    said = BackupsError(text + "|".join(secrets)).scrub(secrets).message
    assert not [secret for secret in secrets if secret in said]


def test_a_password_that_is_no_unicode_does_not_break_the_error() -> None:
    assert str(BackupsError("x \udcff\udcfe y").scrub(["\udcff\udcfe"])) == "x *** y"


def test_what_nobody_has_foreseen_says_what_it_was_and_what_to_do() -> None:
    error = exceptions.unexpected("The backup failed unexpectedly.", KeyError("size"))
    assert (error.detail, error.hint.split(". ")[1]) == (
        "KeyError: 'size'",
        "Try again; the log of whoever did it, worker or web, has more.",
    )
