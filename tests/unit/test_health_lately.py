"""The report of health is kept for a moment, and a bucket that says nothing keeps one who asks, not all."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backups.health import lately
from backups.health.asking import _Question
from backups.health.lately import _Kept
from backups.types import Check, State


class Asked:
    """Asks, and waits to be let go from the second time on."""

    def __init__(self) -> None:
        self.times = 0
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> dict[str, Any]:
        self.times += 1
        if self.times > 1:
            self.has_begun.set()
            assert self.may_end.wait(30)
        return {"answer": self.times}


def test_a_young_report_is_not_asked_for_again() -> None:
    kept = _Kept(asked := Asked())
    assert (kept.get(), kept.get(), asked.times) == ({"answer": 1}, {"answer": 1}, 1)


def test_while_one_asks_the_others_get_the_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _Kept(asked := Asked())
    kept.get()
    monkeypatch.setattr(lately, "REPORT_SECONDS", -1.0)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.get)
        assert asked.has_begun.wait(30)
        assert kept.get() == {"answer": 1}
        asked.may_end.set()
        assert first.result() == {"answer": 2}


def test_a_report_that_is_too_old_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _Kept(asked := Asked())
    kept.get()
    monkeypatch.setattr(lately, "REPORT_SECONDS", -1.0)
    monkeypatch.setattr(lately, "WHILE_ASKING_SECONDS", -1.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.get)
        assert asked.has_begun.wait(30)
        second = pool.submit(kept.get)
        asked.may_end.set()
        assert [first.result(), second.result()] == [{"answer": 2}, {"answer": 3}]


def test_one_that_fails_lets_the_next_ask() -> None:
    answers = iter([ValueError("no"), {"answer": 1}])

    def ask() -> dict[str, Any]:
        if isinstance(answer := next(answers), ValueError):
            raise answer
        return answer

    kept = _Kept(ask)
    with pytest.raises(ValueError, match="no"):
        kept.get()
    assert kept.get() == {"answer": 1}


def test_what_was_found_before_the_time_was_over_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backups.health.asking.stores.secrets", lambda: ("hunter2-hunter2",))
    has_told, may_end = threading.Event(), threading.Event()

    def ask() -> Any:
        yield Check(id="disk", subject="", state=State.BAD, text="http://me:hunter2-hunter2@proxy answered 407")
        has_told.set()
        assert may_end.wait(30)

    question = _Question((("disk", ""), ("bucket-space", "")), ask)
    question.begin()
    assert has_told.wait(30)
    found = question.answers(until=0.0)
    may_end.set()
    assert question.ended.wait(30)
    assert [check.id for check in found] == ["disk", "bucket-space"]
    assert "hunter2" not in found[0].text
