"""The command line behind `icb`: help, and from a word to what does it. Help is answered without importing Django."""

import difflib
import os
import sys
from collections.abc import Sequence

DONE, FAILED, WRONG_USAGE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130

# One line for each `db` verb; `prune-old` would be the management command `db_prune_old`.
DB_VERBS = {
    "backup": "make a backup:                 icb db backup pre-migration",
    "list": "what backups there are:        icb db list",
    "cancel": "ask one at work to stop:       icb db cancel FILENAME",
    "contents": "what is in one:                icb db contents latest",
    "verify": "prove one by restoring it:     icb db verify latest",
    "diff": "what changed since one:        icb db diff latest",
    "health": "is all well, what if not:      icb db health",
    "coverage": "what is in no backup:          icb db coverage",
    "sync": "make bucket and history agree: icb db sync --dry-run",
    "restore": "bring one back:                icb db restore latest --dry-run",
    "prune": "delete what no rule keeps:     icb db prune --dry-run",
    "pin": 'keep one, whatever they say:   icb db pin latest --reason "before the audit"',
    "alert-test": "does a message reach you:      icb db alert-test",
}

# `create` is the management command `token_create`.
TOKEN_VERBS = {
    "create": "a token for the API:           icb token create deploy --scope run --days 90",
    "list": "which there are:               icb token list",
    "revoke": "take one back:                 icb token revoke deploy",
}

FAMILIES = {"db": DB_VERBS, "token": TOKEN_VERBS}

# Each names a function of ichrisbirch_site.verbs.
VERBS = {
    "db": "backups: make, list, look into, restore",
    "token": "tokens of the API: make, list, take back",
    "up": "run it all: web, workers and beat, and the services that the environment does not name   [--detach]",
    "down": "stop it; nothing is lost   [--force: also while a backup or restore is at work]",
    "status": "what runs, where, how large   [--json]",
    "psql": "a psql on the site's server   [DATABASE] [psql's own options]",
    "manage": "Django's manage.py",
    "setup": "only install   [--dev]",
    "test": "the test suite   [pytest's own options]",
    "check": "lint, types, layers, migrations, system checks",
    "bench": "the benchmark",
}

MORE = {
    "up": """\
  (nothing)          in the foreground; Ctrl-C stops all of it, and waits for what is at work
  --detach           in the background: icb status shows it, icb down stops it
  --web-only         one of them; several together, and several icb up side by side
  --worker-only
  --beat-only
  --services-only    only the embedded PostgreSQL and S3 server
  --port N           of the web; 8000
  --host ADDRESS     of the web; 127.0.0.1
""",
}

HELP = """\
{bold}icb{plain} · PostgreSQL backups that are proven to restore

{bold}Backups{plain}
{db}

{bold}The API{plain}
{token}

{bold}This machine{plain}
{machine}

{bold}Development{plain}
{development}

Any command explains itself:  icb db backup --help
"""

FAMILY_HELP = """\
{bold}icb {family}{plain} · {what}

{lines}

Each explains itself:  icb {family} {first} --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 done, 1 failed, 2 wrong usage, 3 refused, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:  # `icb db list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except SystemExit as exit_:
        return _code(exit_)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        if words[1:] and words[1] in FAMILIES:
            return _run([*words[1:], "--help"])
        sys.stdout.write(_help())
        return DONE if words else WRONG_USAGE
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        return _unknown("icb", verb, VERBS)
    if verb in FAMILIES:
        return _run_family(verb, rest)
    if rest in (["-h"], ["--help"]) and verb not in ("psql", "manage", "test"):
        sys.stdout.write(f"icb {verb} · {VERBS[verb]}\n{MORE.get(verb, '')}")
        return DONE
    from ichrisbirch_site import verbs

    function = getattr(verbs, verb)
    return int(function(rest))


def _run_family(family: str, words: list[str]) -> int:
    known = FAMILIES[family]
    if not words or words[0] in ("-h", "--help", "help"):
        if words[1:] and words[0] == "help":
            return _run_family(family, [words[1], "--help"])
        sys.stdout.write(_family_help(family))
        return DONE if words else WRONG_USAGE
    if words[0] not in known:
        return _unknown(f"icb {family}", words[0], known)
    from ichrisbirch_site import verbs

    return int(getattr(verbs, family)(words[0], words[1:]))


def _unknown(prefix: str, word: str, known: dict[str, str]) -> int:
    """Suggests the nearest word; for `icb backup` also one of `icb db`, for `icb revoke` one of `icb token`."""
    candidates = {verb: f"{prefix} {verb}" for verb in known}
    if prefix == "icb":
        candidates |= {verb: f"icb {family} {verb}" for family in reversed(FAMILIES) for verb in FAMILIES[family]}
    nearest = difflib.get_close_matches(word, candidates, n=1, cutoff=0.5)
    suggestion = f"Did you mean: {candidates[nearest[0]]}" if nearest else f"Known are: {', '.join(known)}"
    sys.stderr.write(f"{prefix} does not know {word!r}. {suggestion}   (all of them: {prefix} --help)\n")
    return WRONG_USAGE


def _help() -> str:
    return HELP.format(
        **{
            family: _lines({f"{family} {verb}": line for verb, line in known.items()}, width=17)
            for family, known in FAMILIES.items()
        },
        machine=_lines({verb: VERBS[verb] for verb in ("up", "status", "down", "psql")}),
        development=_lines({verb: VERBS[verb] for verb in ("setup", "test", "check", "bench", "manage")}),
        **_style(),
    )


def _family_help(family: str) -> str:
    known = FAMILIES[family]
    lines = _lines({f"icb {family} {verb}": line for verb, line in known.items()})
    return FAMILY_HELP.format(family=family, what=VERBS[family], lines=lines, first=next(iter(known)), **_style())


def _lines(table: dict[str, str], *, width: int = 0) -> str:
    width = max(width, max(map(len, table)) + 3)
    return "\n".join(f"  {word:<{width}}{line}" for word, line in table.items())


def _style() -> dict[str, str]:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return {"bold": "\033[1m", "plain": "\033[0m"} if coloured else {"bold": "", "plain": ""}


def _code(exit_: SystemExit) -> int:
    """What sys.exit was given, as an exit code; a text is a message."""
    if exit_.code is None:
        return DONE
    if isinstance(exit_.code, int):
        return exit_.code
    sys.stderr.write(f"{exit_.code}\n")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
