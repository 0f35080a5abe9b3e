"""What may stand behind `icb up`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from ichrisbirch_site.supervisor.roles import ALL, BEAT, UPKEEP, WEB, WORKER

_ONLY = {"web_only": (WEB,), "worker_only": (WORKER, UPKEEP), "beat_only": (BEAT,)}


@dataclass(frozen=True, kw_only=True)
class Options:
    """`roles` are empty where only the embedded services are wanted."""

    roles: tuple[str, ...]
    host: str
    port: int
    detach: bool
    in_background: bool

    def words(self) -> list[str]:
        """Those with which the same is asked for in the background."""
        only = [f"--{name.replace('_', '-')}" for name, roles in _ONLY.items() if set(roles) <= set(self.roles)]
        return ["--host", self.host, "--port", str(self.port), *only, "--in-background"]


def parse(words: Sequence[str]) -> Options:
    """Raises SystemExit(2), with the usage on stderr, for what is not known."""
    parser = argparse.ArgumentParser("icb up", add_help=False, allow_abbrev=False)
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--services-only", action="store_true")
    for name in _ONLY:
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8000)
    parser.add_argument("--in-background", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    only = {role for name, roles in _ONLY.items() if getattr(given, name) for role in roles}
    if only and given.services_only:
        parser.error("--services-only starts nothing else")
    return Options(
        roles=() if given.services_only else tuple(role for role in ALL if not only or role in only),
        host=given.host,
        port=given.port,
        detach=given.detach,
        in_background=given.in_background,
    )


def _port(word: str) -> int:
    if not word.isdecimal() or not 0 < int(word) < 65_536:
        raise argparse.ArgumentTypeError(f"{word} is no port: 1 to 65535")
    return int(word)
