"""How bucket and history were made to agree, as text for people and as JSON for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from backups import fallback, words
from backups.sync import Agreed

SHOWN = 20


def as_text(found: Agreed, *, dry_run: bool) -> str:
    """What was done, or would be, a section each; then what somebody should look at."""
    would = "would be " if dry_run else ""
    agree = "Bucket and history agree" + (", as far as they could be asked." if found.problems else ".")
    lines = [agree] if found.is_nothing else []
    lines += _section(f"Rows {would}made from manifests", found.rebuilt)
    lines += _section(f"Rows {would}corrected by their manifests", found.mended)
    lines += [f"Restores and verifications {would}made from their records: {words.count(found.runs)}"] if found.runs else []
    lines += _section(f"Whole in no store any more, {would}marked as missing", found.missing)
    lines += _section("There again", found.back)
    lines += _section(f"Pins {would}taken over from the bucket", found.pinned)
    begun = [f"{where}, begun {one.begun_at:%Y-%m-%d %H:%M} UTC" for where, one in found.unfinished]
    lines += _section(f"Begun more than a day ago and never ended, {would}removed", begun)
    lines += _section("Unknown, left as it is: look at it", [f"{where}: {what}" for where, what in found.unknown])
    kept = [f"{one.database}, {words.size(one.size_bytes)}" for one in found.kept]
    lines += _section("Kept from restores; icb db list tells how to go back or let go", kept)
    if found.missing and not dry_run:
        lines += ["What is missing can't be restored. icb db list shows what there is.", fallback.AGAIN]
    return "\n".join(lines)


def _section(heading: str, found: Sequence[str]) -> list[str]:
    if not found:
        return []
    more = [f"  and {len(found) - SHOWN:,} more"] if len(found) > SHOWN else []
    return [f"{heading}: {len(found):,}", *(f"  {words.printable(one)}" for one in found[:SHOWN]), *more]


def as_json(found: Agreed, *, dry_run: bool) -> str:
    """The same, whole."""

    def plain(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps({"dry_run": dry_run, **asdict(found)}, indent=2, default=plain, ensure_ascii=False)
