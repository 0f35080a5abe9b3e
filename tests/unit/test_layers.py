"""The walls between the rooms, as pyproject.toml draws them."""

import os
import subprocess
import sys
import tomllib

from ichrisbirch_site.embedded import PROJECT

LINT = "from importlinter.cli import lint_imports_command as command; command()"


def lint(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-logo", "--no-cache", *words],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_go_down_only_and_no_wall_is_broken() -> None:
    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_module_of_the_app_has_its_layer() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = contracts[0]
    drawn = {name.strip(" ()") for layer in layers["layers"] for name in layer.split("|")}
    rooms = {path.stem for path in (PROJECT / "backups").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert layers["exhaustive"]
    assert rooms - drawn - {"__init__"} == set(layers["exhaustive_ignores"])
    assert len(contracts) == 5


def test_the_core_can_be_imported_where_there_is_no_django() -> None:
    code = (
        "import sys; sys.modules['django'] = None\n"
        "import backups.postgres.dump, backups.postgres.load, backups.postgres.compare, backups.postgres.snapshot\n"
        "import backups.storage.s3, backups.storage.local, backups.manifest, backups.types, backups.exceptions\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
