"""Words that rows have in English are known to the panel, which says them in the viewer's language."""

import ast
from collections.abc import Iterator
from pathlib import Path

import backups
from backups.admin import nouns


def test_every_phase_that_a_run_can_tell_has_a_noun() -> None:
    told = set(_phases())
    assert {"dumping", "loading in place", "cancelling"} <= told
    assert told - set(nouns.KNOWN) == set()


def _phases() -> Iterator[str]:
    """What is given to `tell` and `_tell`, as `phase=`, or as a row's "phase"; its source where it is no plain text."""
    for file in Path(backups.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                given = node.args[:1] if name in ("tell", "_tell") else []
                given += [keyword.value for keyword in node.keywords if keyword.arg == "phase"]
            elif isinstance(node, ast.Dict):
                given = [value for key, value in zip(node.keys, node.values, strict=True) if _is(key, "phase")]
            else:
                continue
            for one in given:
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value
                elif isinstance(one, ast.JoinedStr):
                    yield ast.unparse(one)


def _is(node: ast.expr | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text
