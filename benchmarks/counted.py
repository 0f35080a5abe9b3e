"""`python -m benchmarks.counted list`: `icb db list`, and in the file COUNTS how often it asked the store and the history."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import botocore
from botocore.session import Session
from django.db.backends.utils import CursorWrapper

from ichrisbirch_site import cli

asked: Counter[str] = Counter()


def main(words: list[str]) -> int:
    """Runs it; returns its exit code."""
    botocore.register_initializer(_listen)
    execute, executemany = CursorWrapper.execute, CursorWrapper.executemany

    def counting(run: Any) -> Any:
        def counted(*given: Any, **named: Any) -> Any:
            asked["queries"] += 1
            return run(*given, **named)

        return counted

    CursorWrapper.execute = counting(execute)  # type: ignore[method-assign]
    CursorWrapper.executemany = counting(executemany)  # type: ignore[method-assign]
    try:
        return cli.main(["db", *words])
    finally:
        Path(os.environ["COUNTS"]).write_text(json.dumps(asked))


def _listen(session: Session) -> None:
    session.register("before-send.s3", _count)


def _count(event_name: str, **_request: Any) -> None:
    asked[event_name.rpartition(".")[2]] += 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
