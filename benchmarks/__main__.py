"""`make bench`, or `./icb bench --gigabytes 0.5 --rounds 1` for a quick look.

Everything runs on services of its own below `.icb/bench`, which are removed afterwards. One round is pg_dump alone, ours,
and django-dbbackup, one after the other on the same database and store; ratios are taken within a round, so that a machine
whose speed drifts compares like with like.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from benchmarks import database
from benchmarks.measure import LEFT_OUT, Run, run
from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import Home, programs, services
from ichrisbirch_site.embedded.postgres import PostgreSQL

PYTHON = sys.executable
ICB = str(embedded.PROJECT / "icb")
SMALL_BYTES = 200 << 20
LISTED = 1000


@dataclass(frozen=True)
class Bench:
    """Where the commands run, and with which environment."""

    home: Home
    env: dict[str, str]
    raw_env: dict[str, str]
    pg_dump: str

    def alone(self) -> Run:
        """pg_dump, its output thrown away."""
        return run([self.pg_dump, "-Fc", "-Z", "zstd:1"], env=self.raw_env, discard=True)

    def ours(self) -> Run:
        """The whole command, from the shell to the shell."""
        return run([ICB, "db", "backup", "bench", "--database", "bench", "--json"], env=self.env)

    def theirs(self) -> Run:
        """django-dbbackup's whole command, with its binary connector."""
        path = f"{Path(self.pg_dump).parent}:{self.env.get('PATH', '')}"
        env = self.env | {"DJANGO_SETTINGS_MODULE": "benchmarks.dbbackup_settings", "PATH": path}
        return run([PYTHON, "-m", "django", "dbbackup", "--noinput"], env=env)


def main() -> None:
    """Measures, prints, tidies."""
    parser = argparse.ArgumentParser(prog="icb bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the database (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    given = parser.parse_args()
    folder = embedded.PROJECT / ".icb" / "bench"
    home = Home(folder)
    try:
        bench = _begin(home)
        _measure_backups(bench, size_bytes=int(given.gigabytes * 2**30), rounds=given.rounds)
        _measure_restores(bench, rounds=given.rounds)
        _measure_start(bench)
    finally:
        for server in services.all_of(home):
            services.stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def _begin(home: Home) -> Bench:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    env = clean | {"ICB_FOLDER": str(home.folder), "DATABASE_URL_BENCH": "postgres:///bench", "PYTHONPATH": str(embedded.PROJECT)}
    services.ensure(services.all_of(home), say=_say)
    run([PYTHON, "manage.py", "migrate", "--verbosity", "0"], env=env)
    given = PostgreSQL(home).connection("bench")
    raw = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    return Bench(home, env, {name: str(given[key]) for name, key in raw.items()}, str(programs.find() / "pg_dump"))


def _measure_backups(bench: Bench, *, size_bytes: int, rounds: int) -> None:
    small = [_fresh(bench, SMALL_BYTES) or bench.ours() for _round in range(1)]
    _fresh(bench, size_bytes)
    bench.alone()  # warms the caches, for everyone
    measured = [(bench.alone(), bench.ours(), bench.theirs()) for _round in range(rounds)]
    alone, ours, theirs = (list(runs) for runs in zip(*measured, strict=True))
    runs = [json.loads(one.output)["duration_seconds"] for one in ours]
    made = json.loads(ours[-1].output)
    _say(
        f"\nDatabase {made['database_size_bytes'] / 2**30:.2f} GiB, stored {made['size_bytes'] / 2**20:.0f} MiB, {rounds} rounds"
    )
    _row("pg_dump -Fc -Z zstd:1 >/dev/null", [one.seconds for one in alone], "s")
    _row("icb db backup to S3, whole command", [one.seconds for one in ours], "s")
    _row("  of that the run itself", runs, "s")
    _row("  of that start, preflight and end", [one.seconds - inside for one, inside in zip(ours, runs, strict=True)], "s")
    _row("django-dbbackup 5.4, binary connector", [one.seconds for one in theirs], "s")
    _row("ours / pg_dump, whole command", [o.seconds / a.seconds for a, o, _t in measured], "x")
    _row("ours / pg_dump, the run itself", [inside / one.seconds for inside, one in zip(runs, alone, strict=True)], "x")
    _row("django-dbbackup / ours", [t.seconds / o.seconds for _a, o, t in measured], "x")
    _row(f"peak memory, {SMALL_BYTES / 2**30:.1f} GiB", [one.peak_bytes / 2**20 for one in small], "MiB")
    _row(f"peak memory, {size_bytes / 2**30:.1f} GiB", [one.peak_bytes / 2**20 for one in ours], "MiB")


def _measure_restores(bench: Bench, *, rounds: int) -> None:
    """Of the newest backup of the large database, into databases that are dropped in between."""
    archive = bench.home.folder / "bench.dump"
    run([bench.pg_dump, "-Fc", "-Z", "zstd:1", "-f", str(archive)], env=bench.raw_env)
    measured = [(_restored_alone(bench, archive), _restored_by_us(bench)) for _round in range(rounds)]
    alone, ours = (list(runs) for runs in zip(*measured, strict=True))
    _row("pg_restore --jobs 2 of a local file", [one.seconds for one in alone], "s")
    _row("icb db restore from S3, compared, swapped in", [one.seconds for one in ours], "s")
    _row("  of that pg_restore", [json.loads(one.output)["load_seconds"] for one in ours], "s")
    _row("ours / pg_restore, whole command", [o.seconds / a.seconds for a, o in measured], "x")
    _row("peak memory", [one.peak_bytes / 2**20 for one in ours], "MiB")
    swaps = [_undone(bench) for _round in range(2 * rounds)]
    _row("swap, with a session that queries", [1000 * json.loads(one.output)["seconds"] for one in swaps], "ms")


def _restored_alone(bench: Bench, archive: Path) -> Run:
    with _empty(bench, "bench_alone"):
        program = str(Path(bench.pg_dump).parent / "pg_restore")
        return run([program, "--jobs", "2", "--exit-on-error", "--dbname", "bench_alone", str(archive)], env=bench.raw_env)


def _restored_by_us(bench: Bench) -> Run:
    """Over an empty database, so that all of it is measured: loaded beside it, compared, swapped in."""
    with _empty(bench, "bench_ours"):
        return run(
            [ICB, "db", "restore", "latest", "--database", "bench", "--target-dbname", "bench_ours", "--json"], env=bench.env
        )


def _undone(bench: Bench) -> Run:
    """The first time, `bench` is restored over itself; then it is swapped back and forth, while a session is busy on it."""
    words = ["--database", "bench", "--yes", "bench", "--json"]
    if not _is_kept(bench):
        run([ICB, "db", "restore", "latest", *words], env=bench.env)
    with psycopg.connect(**PostgreSQL(bench.home).connection("bench")) as busy:
        busy.execute("SELECT count(*) FROM pg_class")  # and its transaction stays open
        undone = run([ICB, "db", "restore", "--undo", *words], env=bench.env)
        busy.close()
    return undone


def _is_kept(bench: Bench) -> bool:
    with psycopg.connect(**PostgreSQL(bench.home).connection("postgres")) as connection:
        return connection.execute("SELECT FROM pg_database WHERE datname LIKE 'bench_before%'").fetchone() is not None


@contextmanager
def _empty(bench: Bench, name: str) -> Iterator[None]:
    """A database for the length of the block."""
    with psycopg.connect(**PostgreSQL(bench.home).connection("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _measure_start(bench: Bench) -> None:
    _row("icb --help", [run([ICB, "--help"], env=bench.env).seconds for _ in range(7)], "s")
    run(
        [PYTHON, "-m", "benchmarks.filling", str(LISTED)], env=bench.env | {"DJANGO_SETTINGS_MODULE": "ichrisbirch_site.settings"}
    )
    for words in (["--limit", "20"], ["--limit", "0"]):
        runs = [run([ICB, "db", "list", *words], env=bench.env) for _ in range(5)]
        _row(f"icb db list {' '.join(words)}, of {LISTED}", [one.seconds for one in runs], "s")


def _fresh(bench: Bench, size_bytes: int) -> None:
    _say(f"Making a database of {size_bytes / 2**30:.1f} GiB …")
    server = PostgreSQL(bench.home)
    with psycopg.connect(**server.connection("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
        connection.execute("CREATE DATABASE bench")
    with psycopg.connect(**server.connection("bench"), autocommit=True) as connection:
        database.make(connection, size_bytes=size_bytes)


def _row(name: str, figures: list[float], unit: str) -> None:
    _say(f"{name:<44} {median(figures):8.2f} {unit:<4} (min {min(figures):.2f}, max {max(figures):.2f})")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    main()
