"""`icb up`: real processes, started as a user starts them, ended in every way, and looked for afterwards."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ichrisbirch_site.embedded import PROJECT, Home, services
from ichrisbirch_site.embedded.home import free_port
from ichrisbirch_site.embedded.processes import PROC
from ichrisbirch_site.supervisor import claims
from ichrisbirch_site.supervisor.roles import ALL
from tests.conftest import until
from tests.services import discard, new_home

STARTS_WITHIN = 120.0
Ups = Callable[..., "Up"]


class Up:
    """One `icb up`, and what it has printed so far."""

    def __init__(self, home: Home, *words: str, folder: Path | None = None, **environment: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [*icb(), "up", *words],
            env=environment_of(home) | environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def says(self, pattern: str, *, times: int = 1) -> None:
        """Waits until it has printed a line with the pattern, as often as that."""

        def found() -> bool:
            there = len(re.findall(pattern, self.said, re.MULTILINE)) >= times
            assert there or self._reader.is_alive(), f"it ended, and has not said {pattern!r}:\n{self.said}"
            return there

        try:
            until(found, seconds=STARTS_WITHIN)
        except AssertionError as error:
            raise AssertionError(f"waited for {pattern!r}:\n{self.said}") from error

    def pid_of(self, role: str) -> int:
        claim = claims.read(self.home, role)
        assert claim is not None
        assert claim.process is not None
        return claim.process.pid

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        code = self.process.wait(STARTS_WITHIN)
        self._reader.join(STARTS_WITHIN)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.said += line


def icb() -> list[str]:
    return [sys.executable, "-P", "-m", "ichrisbirch_site.cli"]


def environment_of(home: Home) -> dict[str, str]:
    return {**os.environ, "ICB_FOLDER": str(home.folder), "PYTHONPATH": str(PROJECT)}


def run(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*icb(), *words], env=environment_of(home), capture_output=True, text=True, timeout=STARTS_WITHIN)


def left_of(home: Home) -> list[str]:
    """Processes that were started for this home, the embedded services apart: by their environment, which all inherit."""
    mark = f"ICB_FOLDER={home.folder}".encode()
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """With its services running; in a folder with a space in its name."""
    made = new_home("up here")
    services.ensure(services.all_of(made), say=lambda line: None)
    yield made
    discard(made.folder)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def up(home: Home, port: int) -> Iterator[Ups]:
    """Starts `icb up` with the words given; all of it is gone after the test."""
    started: list[Up] = []

    def start(*words: str, folder: Path | None = None, **environment: str) -> Up:
        started.append(Up(home, "--port", str(port), *words, folder=folder, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.ends()
    for keeper in claims.keepers(home):
        keeper.stop((signal.SIGKILL, 10))
    until(lambda: not left_of(home))


def test_it_starts_all_four_and_a_ctrl_c_leaves_none(up: Ups, home: Home, port: int) -> None:
    site = up()
    for role in ALL:
        site.says(rf"^{role} +│ ready$")
    site.says("Ctrl-C stops")
    assert f"The site is at http://127.0.0.1:{port}/admin/" in site.said
    assert "icb manage createsuperuser" in site.said
    assert re.search(r"The next scheduled backup: \d{4}-\d\d-\d\d \d\d:\d\d ", site.said)
    assert "\033" not in site.said
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/", timeout=30) as answer:
        assert answer.status == 200
    ping = [sys.executable, "-P", "-m", "celery", "-A", "ichrisbirch_site", "inspect", "ping", "--timeout", "10"]
    pinged = subprocess.run(ping, env=environment_of(home), capture_output=True, text=True, timeout=STARTS_WITHIN)
    assert "2 nodes online" in pinged.stdout, pinged.stdout + pinged.stderr
    site.interrupt()
    assert site.ends() == 0
    assert left_of(home) == []
    assert claims.kept(home) == []


def test_a_kill_9_of_it_leaves_no_process(up: Ups, home: Home) -> None:
    site = up()
    site.says("Ctrl-C stops")
    assert len(left_of(home)) >= 8  # with the children of gunicorn and Celery
    site.process.kill()
    until(lambda: not left_of(home), seconds=10)
    again = up("--beat-only")  # and what it had claimed is free
    again.says("Ctrl-C stops")


def test_a_process_that_dies_is_said_with_its_last_lines_and_started_again(up: Ups, home: Home) -> None:
    site = up("--beat-only")
    site.says(r"^beat +│ ready")
    first = site.pid_of("beat")
    os.kill(first, signal.SIGKILL)
    site.says(rf"^icb +│ beat \(process {first}\) was killed by SIGKILL\. Next attempt in 1 s\. Its last lines:$")
    site.says(r"^icb +│     .*beat: Starting")
    site.says(r"^beat +│ ready", times=2)
    assert site.pid_of("beat") != first
    [shown] = [claims.status(claim) for claim in claims.kept(home)]
    assert shown["restarts"] == 1


def test_an_embedded_service_that_dies_is_started_again(up: Ups, home: Home) -> None:
    site = up("--beat-only")
    site.says(r"^beat +│ ready")
    store = services.all_of(home)[1]
    process = services.state_of(store).process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: services.is_up(store) and services.state_of(store).process != process, seconds=STARTS_WITHIN)


def test_one_that_never_gets_ready_stops_all_and_fails(up: Ups, home: Home) -> None:
    site = up("--beat-only", "--web-only", DJANGO_SETTINGS_MODULE="tests.held.broken")
    assert site.ends() == 1
    assert re.search(r"│ beat .* exit code 1\. It was never ready in 3 attempts; all are stopped\.", site.said)
    assert "tests.held.broken" in site.said
    assert left_of(home) == []


@pytest.fixture
def workers(up: Ups) -> Up:
    """An `icb up` of workers that know the task below."""
    site = up("--worker-only", DJANGO_SETTINGS_MODULE="tests.held.settings")
    site.says("Ctrl-C stops")
    return site


@pytest.fixture
def held(workers: Up, home: Home, tmp_path: Path) -> Up:
    """The same, and one is at work on a task that ends when the file "let go" is there."""
    hold(home, tmp_path)
    return workers


def hold(home: Home, tmp_path: Path) -> None:
    program = f"import ichrisbirch_site.celery; from tests.held.tasks import hold; hold.delay({str(tmp_path)!r})"
    environment = environment_of(home) | {"DJANGO_SETTINGS_MODULE": "tests.held.settings"}
    subprocess.run([sys.executable, "-P", "-c", program], env=environment, check=True, timeout=STARTS_WITHIN)
    until((tmp_path / "begun").exists)


def pool_of(worker: int) -> set[int]:
    """The processes that a worker has forked."""
    stats = {int(entry.name): (entry / "stat").read_text() for entry in PROC.glob("[0-9]*") if (entry / "stat").exists()}
    return {pid for pid, stat in stats.items() if int(stat.rpartition(")")[2].split()[1]) == worker}


def test_a_worker_whose_pool_was_killed_takes_work_again(workers: Up, home: Home, tmp_path: Path) -> None:
    """The one that waits for work holds a lock, behind which all that come after it would wait for ever."""
    first = workers.pid_of("worker")
    for pid in pool_of(first):
        os.kill(pid, signal.SIGKILL)
    workers.says(r"^worker +│ ready", times=2)
    assert workers.pid_of("worker") != first
    hold(home, tmp_path)
    (tmp_path / "let go").touch()
    until((tmp_path / "done").exists)


def test_a_process_of_the_pool_that_replaced_a_dead_one_is_waited_for_like_any_other(
    held: Up, home: Home, tmp_path: Path
) -> None:
    """Both were at work, so none held the lock, and the worker goes on."""
    worker = held.pid_of("worker")
    (second := tmp_path / "second").mkdir()
    (third := tmp_path / "third").mkdir()
    hold(home, second)
    before = pool_of(worker)
    os.kill(int((tmp_path / "begun").read_text()), signal.SIGKILL)
    (tmp_path / "let go").touch()
    until(lambda: len(pool_of(worker) - before) == 1)
    hold(home, third)
    assert int((third / "begun").read_text()) not in before
    held.interrupt()
    held.says("at work, and is waited for")  # the threads of the pool have ended by then
    for other in (second, third):
        (other / "let go").touch()
    assert held.ends() == 0
    assert all((other / "done").exists() for other in (second, third))


def test_what_is_at_work_is_waited_for_until_it_is_done(held: Up, home: Home, tmp_path: Path) -> None:
    held.interrupt()
    held.says("at work, and is waited for. Ctrl-C again")
    assert not (tmp_path / "done").exists()
    (tmp_path / "let go").touch()
    assert held.ends() == 0
    assert (tmp_path / "done").exists()
    assert left_of(home) == []


def test_a_second_ctrl_c_cancels_what_is_at_work_which_tidies_up(held: Up, home: Home, tmp_path: Path) -> None:
    held.interrupt()
    held.says("Warm shutdown")
    held.interrupt()
    assert held.ends() == 130
    assert "is killed" not in held.said
    assert (tmp_path / "tidied").exists()
    assert not (tmp_path / "done").exists()
    assert left_of(home) == []


def test_in_the_background_it_is_shown_by_status_and_ended_by_down_and_leaves_the_working_folder_alone(
    up: Ups, home: Home, port: int, tmp_path: Path
) -> None:
    started = up("--detach", folder=tmp_path, PATH="/usr/bin")
    assert started.ends() == 0, started.said
    assert f"The site is at http://127.0.0.1:{port}/admin/" in started.said
    shown = run(home, "status").stdout
    for role in ALL:
        assert re.search(rf"^{role} +running .*process {started.pid_of(role)}   .*{role}\.log$", shown, re.MULTILINE), shown
    assert "Listening at" in home.log("web").read_text()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/", timeout=30) as answer:
        assert answer.status == 200
    down = run(home, "down")
    assert down.returncode == 0, down.stderr
    assert down.stdout.startswith("Stopped web, worker, upkeep, beat, PostgreSQL")
    assert left_of(home) == []
    assert list(tmp_path.iterdir()) == []


def test_a_second_one_is_refused_and_another_role_may_run_beside(up: Ups, home: Home) -> None:
    first = up("--web-only")
    first.says("Ctrl-C stops")
    second = run(home, "up")
    assert (second.returncode, second.stdout) == (3, "")
    assert f"web runs here already, kept by process {first.process.pid}. Nothing was started." in second.stderr
    assert "--worker-only" in second.stderr
    assert run(home, "up", "--detach").returncode == 3
    beside = up("--beat-only")
    beside.says("Ctrl-C stops")
    assert first.process.poll() is None


def test_a_port_that_is_taken_is_named_with_who_has_it_and_which_is_free(home: Home, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        answer = run(home, "up", "--port", str(port), "--web-only")
    assert answer.returncode == 1
    assert f"The port {port} of 127.0.0.1 is taken by process {os.getpid()} (" in answer.stderr
    assert re.search(r"Choose another: icb up --port \d+", answer.stderr)
    assert claims.kept(home) == []


def test_it_goes_on_when_nobody_reads_it_any_more(up: Ups, home: Home) -> None:
    """`icb up | head` must not be the end of backups."""
    read, write = os.pipe()
    site = subprocess.Popen(
        [*icb(), "up", "--beat-only"], env=environment_of(home), stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    os.close(read)
    assert site.stderr is not None
    with site.stderr as said:
        try:
            assert any("Nobody reads what icb up prints any more" in line for line in said)
            until(lambda: all(claims.status(claim)["ready"] for claim in claims.kept(home)) and bool(claims.kept(home)))
            site.terminate()
            assert site.wait(STARTS_WITHIN) == 0
        finally:
            site.kill()
            site.wait()


def test_services_only_starts_nothing_else(home: Home) -> None:
    answer = run(home, "up", "--services-only")
    assert answer.returncode == 0
    assert "PostgreSQL" in answer.stdout
    assert left_of(home) == []
