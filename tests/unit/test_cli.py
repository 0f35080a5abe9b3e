"""`icb`'s help, suggestions and exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from ichrisbirch_site import cli, embedded

COMMANDS = embedded.PROJECT / "backups" / "management" / "commands"


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in cli.VERBS:
        assert f"  {verb} " in shown
    for family, known in cli.FAMILIES.items():
        for verb in known:
            assert f"  {family} {verb} " in shown


@pytest.mark.parametrize("family", cli.FAMILIES)
def test_help_of_a_family_names_each_of_its_verbs(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([family, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"icb {family} {verb}" in shown for verb in cli.FAMILIES[family])


@pytest.mark.parametrize("words", [["--help"], ["db", "--help"], ["help", "token"], ["bakcup"], ["up", "--help"]])
def test_help_imports_neither_django_nor_the_embedded_services(words: list[str]) -> None:
    program = (
        f"import sys; from ichrisbirch_site import cli; cli.main({words!r}); "
        "sys.exit(any(name.split('.')[0] == 'django' or 'embedded' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=embedded.PROJECT, capture_output=True).returncode == 0


def test_without_words_the_help_is_shown_and_the_exit_code_says_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "icb db backup" in capsys.readouterr().out
    assert cli.main(["db"]) == 2


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["stauts"], "icb status"),
        (["bakcup"], "icb db backup"),
        (["backup"], "icb db backup"),
        (["list"], "icb db list"),
        (["revoke"], "icb token revoke"),
        (["db", "lst"], "icb db list"),
        (["db", "xyzzy"], "Known are: backup, list, cancel, contents, "),
    ],
)
def test_an_unknown_word_suggests_the_nearest(words: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert suggestion in capsys.readouterr().err


@pytest.mark.parametrize("family", cli.FAMILIES)
def test_the_verbs_of_a_family_are_its_management_commands(family: str) -> None:
    commands = {path.stem.removeprefix(f"{family}_").replace("_", "-") for path in COMMANDS.glob(f"{family}_*.py")}
    assert commands == set(cli.FAMILIES[family])


def test_every_verb_has_its_function() -> None:
    from ichrisbirch_site import verbs

    assert all(callable(getattr(verbs, verb)) for verb in cli.VERBS)


@pytest.mark.parametrize(("given", "code"), [(None, 0), (3, 3), (0, 0), ("a reason", 1)])
def test_an_exit_from_within_becomes_the_exit_code(given: object, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(words: list[str]) -> int:
        raise SystemExit(given)

    monkeypatch.setattr("ichrisbirch_site.verbs.status", leave)
    assert cli.main(["status"]) == code


def test_ctrl_c_is_a_short_line_and_exit_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ichrisbirch_site.verbs.status", interrupted)
    assert cli.main(["status"]) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "ichrisbirch_site.cli", "--help"],
        cwd=embedded.PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert b"Traceback" not in process.stderr.read()
    process.wait()


def test_no_colours_where_the_output_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--help"])
    assert "\033" not in capsys.readouterr().out


def test_what_takes_no_words_refuses_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["down", "everything"]) == 2
    assert "usage: icb down" in capsys.readouterr().err


def test_the_modules_behind_icb_lie_beside_it() -> None:
    assert (embedded.PROJECT / "icb").is_file()
    assert Path(cli.__file__).parent.parent == embedded.PROJECT
