"""docker-compose.yml as `docker compose` reads it: with the variables of .env put in."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from ichrisbirch_site.embedded import PROJECT

FILE = PROJECT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?)([-?])([^}]*))?\})")


def read(**variables: str) -> dict[str, Any]:
    """The file with variables put in. Raises KeyError where one is asked for that is not given."""
    made: dict[str, Any] = _filled(yaml.safe_load(FILE.read_text()), variables)
    return made


def variables() -> dict[str, str]:
    """Every variable that the file asks for, with its default; a question mark where it must be given."""
    found = _VARIABLE.findall(FILE.read_text())
    return {name: "?" if operator == "?" else default for dollar, name, _colon, operator, default in found if not dollar}


def _filled(node: Any, given: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, given) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, given) for value in node]
    return _VARIABLE.sub(lambda found: _value(found, given), node) if isinstance(node, str) else node


def _value(found: "re.Match[str]", given: Mapping[str, str]) -> str:
    """https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md"""
    dollar, name, colon, operator, default = found.groups()
    if dollar:
        return "$"
    if given.get(name) or (name in given and not colon):
        return given[name]
    if operator == "?":
        raise KeyError(name)
    return default or ""
