"""A message, as every receiver gets it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How it should look, in apprise's words."""

    FAILURE = "failure"
    SUCCESS = "success"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Message:
    """Plain text. The title is one line that a phone shows whole."""

    title: str
    body: str
    kind: Kind = Kind.INFO
