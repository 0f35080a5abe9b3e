"""What a prune has done or would do, as text for people and as JSON for machines."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from backups import documents, words
from backups.prune import Fate, Judged, Pinned, Pruning, has_rules
from backups.prune.rules import EXAMPLE
from backups.retention import Policy

SHOWN = 20  # of what can't be judged
# Field -> how the rule is said.
_RULES = {
    "keep_last": "the last {}",
    "hourly": "{} hourly",
    "daily": "{} daily",
    "weekly": "{} weekly",
    "monthly": "{} monthly",
    "yearly": "{} yearly",
    "minimum_age_days": "nothing younger than {} days goes",
}


def heading(policy: Policy) -> str:
    """The rules in a line."""
    told = [text.format(value) for name, text in _RULES.items() if (value := getattr(policy, name)) is not None]
    if policy.maximum_total_bytes is not None:
        told.append(f"at most {words.size(policy.maximum_total_bytes)} of each database")
    share = f"at most {policy.maximum_share:.0%} of a database's backups in one run"
    return f"Kept are: {', '.join(told)}; {share}."


def no_rules(pruning: Pruning) -> str:
    """Where nothing can be obsolete: that it is so, and how to change it."""
    every = [one.candidate.size_bytes for one in pruning.backups]
    return (
        f"No retention rule is set: everything is kept ({words.things(len(every), 'backup')}, {words.size(sum(every))}).\n"
        f"Set one:  BACKUPS_RETENTION='{EXAMPLE}'  (in another project: BACKUPS[\"RETENTION\"])\n"
        "Then see what it would do:  icb db prune --dry-run"
    )


def as_text(pruning: Pruning) -> str:
    """Every backup with its fate and the rules that decided it, newest first; then the sum."""
    if not has_rules(pruning.policy):
        return no_rules(pruning)
    lines = [heading(pruning.policy), ""]
    lines += table(pruning.backups)
    return "\n".join([*lines, *([""] if pruning.backups else []), *ending(pruning)])


def table(backups: Sequence[Judged]) -> list[str]:
    """A line each; the database only where there are several, and its cluster where several have one of that name."""
    clusters = Counter(database for database, _cluster in {(one.candidate.database, one.candidate.cluster) for one in backups})
    several = len(clusters) > 1 or any(count > 1 for count in clusters.values())
    now = timezone.now()
    cells = [
        (
            str(one.fate),
            one.candidate.filename,
            *([_whose(one, clusters)] if several else []),
            words.age(one.candidate.finished_at, now=now),
            words.size(one.candidate.size_bytes),
        )
        for one in backups
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "   ".join([*(text.ljust(width) for text, width in zip(cell, widths, strict=True)), _why(one)])
        for cell, one in zip(cells, backups, strict=True)
    ]


def _whose(one: Judged, clusters: Counter[str]) -> str:
    name = words.printable(one.candidate.database)
    return f"{name} of cluster {one.candidate.cluster or 'unknown'}" if clusters[one.candidate.database] > 1 else name


def line(one: Judged) -> str:
    """One backup, as soon as its fate is known."""
    return f"{one.fate:<8} {one.candidate.filename}   {words.size(one.candidate.size_bytes)}   {_why(one)}"


def ending(pruning: Pruning) -> list[str]:
    """The sum; what was left from before; what is left alone; what to do next."""
    begun = "Would finish" if pruning.is_dry_run else "Finished"
    lines = [f"{begun} what an earlier prune had begun: {name}" for name in pruning.finished]
    lines += [words.printable(" ".join(text.split())) for text in pruning.unfinished]
    if pruning.left_alone:
        lines.append(f"Left alone, because they can't be trusted or are not whole ({len(pruning.left_alone)}):")
        lines += [f"  {words.printable(text)}" for text in pruning.left_alone[:SHOWN]]
        lines += [f"  and {len(pruning.left_alone) - SHOWN} more"] if len(pruning.left_alone) > SHOWN else []
    fate = Fate.OBSOLETE if pruning.is_dry_run else Fate.DELETED
    gone, kept = pruning.of(fate), pruning.of(Fate.KEEP)
    total = f"{words.things(len(kept), 'backup')} kept ({words.size(_bytes(kept))})"
    if pruning.is_dry_run:
        lines.append(f"Would delete {words.things(len(gone), 'backup')}, freeing {words.size(_bytes(gone))}; {total}.")
    else:
        lines.append(f"Deleted {words.things(len(gone), 'backup')}, freeing {words.size(_bytes(gone))}; {total}.")
    if pruning.is_dry_run and gone:
        lines.append("Nothing was changed. Do it: icb db prune")
    if pruning.backups and not any(one.candidate.is_verified for one in pruning.backups):
        lines.append("Only verified backups let older ones go. Prove the newest: icb db verify latest")
    return lines


def as_json(pruning: Pruning) -> str:
    """The same with full precision. `rules` is null where none is set; `verdict` is keep, obsolete, deleted or failed."""
    fate = Fate.OBSOLETE if pruning.is_dry_run else Fate.DELETED
    return _json(
        {
            "is_dry_run": pruning.is_dry_run,
            "rules": asdict(pruning.policy) if has_rules(pruning.policy) else None,
            "backups": [
                {
                    "filename": one.candidate.filename,
                    "id": str(one.candidate.id),
                    "database": one.candidate.database,
                    "finished_at": one.candidate.finished_at.isoformat(),
                    "size_bytes": one.candidate.size_bytes,
                    "verdict": str(one.fate),
                    "reasons": list(one.reasons),
                }
                for one in pruning.backups
            ],
            "freed_bytes": _bytes(pruning.of(fate)),
            "finished": pruning.finished,
            "unfinished": pruning.unfinished,
            "left_alone": pruning.left_alone,
        }
    )


def pinned_as_text(pinned: Pinned) -> str:
    """What a pin now says."""
    name = pinned.filename
    if not pinned.reason:
        return f"No longer pinned: {name}" if pinned.was_pinned else f"{name} was not pinned."
    before = f" (before: {words.printable(pinned.before)})" if pinned.before not in ("", pinned.reason) else ""
    return f"Pinned: {name}: {words.printable(pinned.reason)}{before}\nLet go of it: icb db pin {name} --remove"


def pinned_as_json(pinned: Pinned) -> str:
    """The same for machines."""
    return _json(documents.pinned(pinned))


def _why(one: Judged) -> str:
    """The reasons in one line, however many lines the words of a store have."""
    return words.printable("; ".join(" ".join(reason.split()) for reason in one.reasons))


def _bytes(backups: Sequence[Judged]) -> int:
    return sum(one.candidate.size_bytes for one in backups)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
