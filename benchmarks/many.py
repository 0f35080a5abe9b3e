"""`python -m benchmarks.many --backups 10000`: how long listing, sync and prune take where there are many backups, and how much
they ask for. On services of its own below `.icb/many`, which stay with `--keep` and are then used again.

Seconds and peak memory are of the whole command; "busy" is the processor time that it used, "server" that of the S3 server
meanwhile. On a machine that others use too, those two tell more than the seconds.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from benchmarks.measure import LEFT_OUT, run
from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import Home, services
from ichrisbirch_site.embedded.postgres import PostgreSQL
from ichrisbirch_site.embedded.s3 import S3

PYTHON = sys.executable
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """One command. Seconds; `asked` are requests by operation, and queries."""

    seconds: float
    own_seconds: float
    server_seconds: float
    peak_bytes: int
    asked: dict[str, int]


class Many:
    """The services and what is in them."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        self.env = clean | {"ICB_FOLDER": str(folder), "PYTHONPATH": str(embedded.PROJECT), "COUNTS": str(folder / "counts.json")}

    def begin(self, number: int) -> None:
        """Starts the services; fills them, unless they are filled."""
        services.ensure(services.all_of(self.home), say=_say)
        run([PYTHON, "manage.py", "migrate", "--verbosity", "0"], env=self.env)
        filled = self.home.folder / "filled"
        if not filled.exists() or filled.read_text() != str(number):
            _say(f"Making {number:,} backups …")
            settings = {"DJANGO_SETTINGS_MODULE": "ichrisbirch_site.settings"}
            run([PYTHON, "-m", "benchmarks.filling", str(number)], env=self.env | settings)
            filled.write_text(str(number))

    def forget(self) -> None:
        """Empties the history."""
        with psycopg.connect(**PostgreSQL(self.home).connection("ichrisbirch")) as connection:
            connection.execute("TRUNCATE admin.backup_history, admin.backup_restore")

    def measure(self, words: Sequence[str], *, before: Callable[[], None] = lambda: None) -> Measured:
        """One command, counted."""
        before()
        server = services.state_of(S3(self.home)).process
        assert server is not None
        busy = _busy(server.pid)
        done = run([PYTHON, "-m", "benchmarks.counted", *words], env=self.env)
        asked = json.loads(Path(self.env["COUNTS"]).read_text())
        return Measured(done.seconds, done.busy_seconds, _busy(server.pid) - busy, done.peak_bytes, asked)


def main() -> None:
    """Measures, prints, tidies."""
    parser = argparse.ArgumentParser(prog="benchmarks.many", description=__doc__)
    parser.add_argument("--backups", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="leave services and backups for the next time")
    given = parser.parse_args()
    many = Many(embedded.PROJECT / ".icb" / "many")
    try:
        many.begin(given.backups)
        _tell("sync, empty history", [many.measure(["sync"], before=many.forget) for _ in range(given.rounds)])
        for words in (["sync"], ["list"], ["list", "--limit", "0"], ["prune", "--dry-run"]):
            _tell(" ".join(words), [many.measure(words) for _ in range(given.rounds)])
    finally:
        if not given.keep:
            for server in services.all_of(many.home):
                services.stop(server)
            shutil.rmtree(many.home.folder, ignore_errors=True)


def _tell(name: str, measured: Sequence[Measured]) -> None:
    seconds = [one.seconds for one in measured]
    asked = dict(measured[-1].asked)
    queries = asked.pop("queries", 0)
    requests = ", ".join(f"{count} {operation}" for operation, count in sorted(asked.items()))
    _say(
        f"icb db {name:<20} {median(seconds):7.2f} s (min {min(seconds):.2f}, max {max(seconds):.2f}),"
        f" busy {median(one.own_seconds for one in measured):.2f} s,"
        f" server {median(one.server_seconds for one in measured):.2f} s,"
        f" {max(one.peak_bytes for one in measured) / 2**20:4.0f} MiB, {queries} queries, {requests or 'no requests'}"
    )


def _busy(pid: int) -> float:
    """Seconds that a process has used a processor for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    main()
