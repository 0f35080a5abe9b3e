"""Signals become one cancellation, and none in a step that must not be torn."""

import os
import signal

import pytest

from backups.interrupts import check, held, interruptible


def test_a_signal_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the signal did not interrupt")


def test_a_signal_in_a_held_step_waits_until_it_is_asked_for() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), interruptible():
        with held():
            os.kill(os.getpid(), signal.SIGINT)
            check()
            done = True
        check()
    assert done


def test_a_second_signal_does_not_disturb_the_tidying_after_the_first() -> None:
    tidied = False
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            tidied = True
    assert tidied


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_is_over_with_what_it_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), signal.SIGINT)
    check()
