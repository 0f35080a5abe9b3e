"""The plan of a restore, as text for people and as JSON for machines."""

import json

from django.utils import timezone

from backups import documents, words
from backups.catalog import Found
from backups.plan import NOT_IN_A_BACKUP, HistoryPlace, Level, Plan

MARKS = {Level.OK: "OK   ", Level.WARN: "WARN ", Level.BLOCK: "STOP "}


def plan_as_text(plan: Plan) -> str:
    """From what, onto what, what was checked, what will happen, what is in no backup."""
    lines = ["Restore plan. Nothing has been touched yet.", "", "From", *_source(plan), "", "Onto", *_target(plan), "", "Checks"]
    for check in plan.checks:
        lines.append(f"  {MARKS[check.level]}{words.printable(check.text)}")
        lines += [f"       {words.printable(line)}" for text in (check.detail, check.hint) for line in text.split("\n") if line]
    lines += ["", f"What will happen, {_time(plan)}", *(f"  {number}. {step}" for number, step in enumerate(_steps(plan), 1))]
    lines += ["", "Not in any backup", f"  {', '.join(NOT_IN_A_BACKUP)}."]
    return "\n".join(lines)


def plan_as_json(plan: Plan) -> str:
    """The same with full precision."""
    return json.dumps(documents.plan(plan), indent=2, ensure_ascii=False)


def _source(plan: Plan) -> list[str]:
    manifest = plan.manifest
    if manifest is None:
        return [f"  {plan.source.location}", "  A foreign archive: unsigned, trusted because you said so."]
    proof = f"last restored {words.age(plan.restored_at, now=timezone.now())}" if plan.restored_at else "never restored yet"
    if plan.verified_at:
        proof = f"verified {words.age(plan.verified_at, now=timezone.now())}"
    holds = f"{words.things(manifest.snapshot.rows, 'row')} in {words.things(len(manifest.snapshot.tables), 'table')}"
    lines = [
        f"  {manifest.filename}, {words.age(manifest.started_at, now=timezone.now())}, {proof}",
        f"  {words.size(manifest.size_bytes)} stored, {words.size(manifest.snapshot.database_size_bytes)} as a database, {holds}",
        f"  of {words.printable(manifest.database)} ({manifest.environment}), PostgreSQL {manifest.snapshot.server_version}",
    ]
    if not isinstance(plan.source, Found):
        lines.append(f"  from the file {plan.source.location}")
    return lines


def _target(plan: Plan) -> list[str]:
    there, found = plan.there, plan.there.database
    identity = f", identity {there.system_identifier}" if there.system_identifier else ""
    lines = [
        f"  {words.printable(plan.target.database)} on {plan.target.host}:{plan.target.port},"
        f" PostgreSQL {there.server_version}{identity}"
    ]
    if found is None:
        return [*lines, "  It does not exist yet and will be made."]
    if not found.objects:
        return [*lines, "  It is there and empty."]
    size = f"{words.size(found.size_bytes)}, " if found.size_bytes is not None else ""
    rows = f"about {words.things(found.about_rows, 'row')}"
    return [*lines, f"  There now: {size}{rows}, {_connections(found.sessions)}."]


def _kept_how_long(plan: Plan) -> str:
    days = plan.keep_replaced_days
    return "until you discard it" if days is None else f"for {words.things(days, 'day')}, after which the next restore drops it"


def _connections(count: int) -> str:
    return {0: "nobody connected", 1: "1 connection"}.get(count, f"{count} connections")


def _time(plan: Plan) -> str:
    if plan.expected_seconds is None:
        return "in a time that no restore has measured yet"
    return f"in about {words.duration(plan.expected_seconds)}, by {words.things(plan.measured_restores, 'measured restore')}"


def _steps(plan: Plan) -> list[str]:
    name, choices = words.printable(plan.target.database), plan.choices
    prove = "Download and prove the bytes: signature and SHA-256, before anything reads them"
    what = words.printable(", ".join(".".join(table) for table in choices.tables)) or "everything"
    if choices.schema_only:
        what += ", without rows,"
    connected = plan.there.database.sessions if plan.there.database else 0
    if choices.in_place:
        steps = [prove]
        if not plan.there.is_empty:
            steps.append(f"Back up what is in {name} now, unless --no-safety-backup; what is written there from then on is lost")
        return [
            *steps,
            f"Send away who is connected ({_connections(connected)} now)",
            f"Drop and load {name} in one transaction, all or nothing; who comes meanwhile waits, or is sent away"
            + ("; the history of backups in it stays" if plan.history is HistoryPlace.TARGET else ""),
            "Compare with the manifest",
        ]
    if choices.into_schema:
        return [
            prove,
            f"Load {what} apart from {name}, and compare",
            f"Put them into the schema {words.printable(choices.into_schema)} of {name}; no live table is touched",
        ]
    beside = f" beside {name}, which goes on working" if plan.there.database else ""
    steps = [prove, f"Load {what}{beside or ' under another name'}", "Compare with the manifest"]
    if choices.neutralize:
        steps.append("Empty sessions and tokens, disable scheduled tasks, in what was loaded")
    if plan.there.is_empty:
        return [*steps, f"Give it the name {name}"]
    return [
        *steps,
        f"Swap the two names in one transaction; who is connected then is sent away ({_connections(connected)} now)",
        f"Keep what is in {name} now beside it, {_kept_how_long(plan)}: icb db restore --undo swaps back",
    ]
