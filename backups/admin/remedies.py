"""What to do, taken apart: sentences to read, and commands to copy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from backups.sentences import translated

_PROGRAM = r"(?:icb|aws|mc|timedatectl|docker|sudo|psql|GRANT|ALTER|CREATE)\s"
_ENDS_SENTENCE = re.compile(r"(?<=[.])\s+(?=[A-Z])")
_COMMAND = re.compile(rf"(?P<said>.*?:\s+)??(?P<command>{_PROGRAM}.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A sentence, a command, or a sentence that ends in its command."""

    said: str = ""
    command: str = ""


def remedies(hint: str) -> list[Remedy]:
    """ "Make one now: icb db backup now" is one with both. A sentence that only speaks of a command is no command."""
    return [remedy for line in translated(hint).splitlines() if line.strip() for remedy in _of_line(line.strip())]


def _of_line(line: str) -> Iterator[Remedy]:
    said: list[str] = []
    for sentence in _ENDS_SENTENCE.split(line):
        remedy = _of_sentence(sentence)
        said.append(remedy.said)
        if remedy.command:
            yield Remedy(said=" ".join(filter(None, said)), command=remedy.command)
            said.clear()
    if said:
        yield Remedy(said=" ".join(said))


def _of_sentence(sentence: str) -> Remedy:
    found = _COMMAND.fullmatch(sentence)
    if found is None or (found["said"] is None and sentence.endswith(".")):
        return Remedy(said=sentence)
    return Remedy(said=(found["said"] or "").strip(), command=found["command"].removesuffix("."))
