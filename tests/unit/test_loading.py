"""The garbage collector while modules are loaded, and afterwards."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ichrisbirch_site import embedded
from ichrisbirch_site.loading import loading


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    """What these tests freeze is not left to the others."""
    yield
    gc.unfreeze()


def test_nothing_is_collected_while_modules_are_loaded() -> None:
    with loading():
        assert not gc.isenabled()


def test_afterwards_it_collects_again_and_leaves_out_what_was_loaded() -> None:
    with loading():
        loaded = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(loaded)


def test_it_collects_again_also_when_loading_fails() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError("settings")
    assert gc.isenabled()


def test_what_is_to_be_done_and_written_at_the_end_still_is() -> None:
    program = (
        "import atexit, sys\n"
        "from ichrisbirch_site.loading import loading\n"
        "atexit.register(print, 'before')\n"
        "with loading(): import json\n"
        "atexit.register(print, 'after')\n"
        "sys.stdout.write('not flushed ')\n"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=embedded.PROJECT, capture_output=True, text=True, check=True)
    assert said.stdout == "not flushed after\nbefore\n"
