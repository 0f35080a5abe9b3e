"""Examples for each operation: as a request or an answer looks."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_ID = "f9879cb5-93c4-4150-b84f-2f1b53cd3b0b"
_URL = f"https://site.example/admin/backups/{_ID}/"
_NAME = "backup-2026-11-22T2348-pre-migration.dump"
_ITEM: dict[str, Any] = {
    "id": _ID,
    "filename": _NAME,
    "description": "pre-migration",
    "backup_type": "manual",
    "environment": "production",
    "database": "shop",
    "status": "succeeded",
    "created_at": "2026-11-22T23:48:03.120431Z",
    "started_at": "2026-11-22T23:48:03.391114Z",
    "finished_at": "2026-11-22T23:48:11.003217Z",
    "duration_seconds": 7.612103,
    "size_bytes": 299679744,
    "database_size_bytes": 1932735283,
    "checksum": "dd76452d351cc81d3ed34cf48e41371c152a96db5a793cfa5ff69e4dcea6649b",
    "bucket": "shop-backups",
    "s3_key": f"production/postgres/{_NAME}",
    "local_path": "",
    "postgres_version": "17.10",
    "application_version": "4f1c2aa",
    "error_message": "",
    "stored_at": None,
    "readable_at": None,
    "verified_at": "2026-11-23T03:12:40Z",
    "bad_at": None,
    "missing_at": None,
    "deleted_at": None,
    "pin_reason": "",
    "triggered_by": "deploy",
    "url": _URL,
}
_WHOLE = {
    **_ITEM,
    "pg_dump_version": "17.10",
    "compression": "zstd:1",
    "table_snapshot": {
        "tables": [{"schema": "public", "table": "shop_order", "rows": 812443, "bytes": 190840832}],
        "total": {"tables": 1, "rows": 812443, "bytes": 190840832},
    },
    "applied_migrations": ["shop.0001_initial"],
    "extensions": {"plpgsql": "1.0"},
    "warnings": [],
    "guards": [],
    "system_identifier": "7573111111111111111",
    "server_address": "db.internal:5432",
    "slot": "",
    "cancel_requested_at": None,
    "progress": {},
    "restores": [],
    "verifications": [],
    "links": {"contents": f"{_URL}contents/", "verify": f"{_URL}verify/"},
}
_NOT_YET = dict.fromkeys(("started_at", "finished_at", "duration_seconds", "size_bytes", "database_size_bytes", "verified_at"))
_WAITS = {**_WHOLE, **_NOT_YET, "status": "pending", "checksum": "", "table_snapshot": {}, "links": {"cancel": f"{_URL}cancel/"}}


def _answer(value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample("answer", value=value, response_only=True, status_codes=list(statuses or ["200"]))


def _request(value: Any) -> OpenApiExample:
    return OpenApiExample("request", value=value, request_only=True)


PAGE = _answer({"results": [_ITEM], "next": None})
NEW = _request({"description": "pre-migration", "upload_to_s3": True, "save_local": False})
QUEUED = _answer(_WAITS, "202")
BACKUP = _answer(_WHOLE)

_RESTORE_ID = "2b1c7a0e-9a53-4c55-8d0a-7a2f3d1f5b11"
_RESTORE: dict[str, Any] = {
    "id": _RESTORE_ID,
    "backup_id": _ID,
    "source": f"s3://shop-backups/production/postgres/{_NAME}",
    "purpose": "verification",
    "mode": "swap",
    "target_host": "db.internal",
    "target_port": 5432,
    "target_database": "verify_2b1c7a0e",
    "target_system_identifier": "7573111111111111111",
    "kept_database": "",
    "safety_backup": "",
    "status": "succeeded",
    "started_at": "2026-11-23T03:12:04Z",
    "finished_at": "2026-11-23T03:12:40Z",
    "duration_seconds": 36.1,
    "load_seconds": 31.7,
    "size_bytes": 299679744,
    "comparison_report": {"tables": 1, "rows": 812443, "equal": True, "differences": []},
    "kept_until": None,
    "level": "restored",
    "verdict": "good",
    "created_at": "2026-11-23T03:12:01Z",
    "undone_at": None,
    "cancel_requested_at": None,
    "progress": {},
    "error_message": "",
    "restored_by": "deploy",
    "url": f"https://site.example/admin/backups/restores/{_RESTORE_ID}/",
    "backup": _URL,
    "links": {},
}
RESTORES = _answer({"results": [_RESTORE], "next": None})
RESTORE = _answer(_RESTORE)
CONTENTS = _answer(
    {
        "filename": _NAME,
        "environment": "production",
        "database": "shop",
        "started_at": "2026-11-22T23:48:03.391114+00:00",
        "size_bytes": 299679744,
        "database_size_bytes": 1932735283,
        "server_version": "17.10",
        "total": {"tables": 1, "rows": 812443, "bytes": 190840832},
        "tables": [{"schema": "public", "table": "shop_order", "rows": 812443, "bytes": 190840832}],
        "extensions": [{"name": "plpgsql", "version": "1.0"}],
        "objects": {"INDEX": {"count": 1, "names": ["public.shop_order_pkey"]}},
    }
)
_SIDE: dict[str, Any] = {
    "name": _NAME,
    "environment": "production",
    "database": "shop",
    "at": "2026-11-22T23:48:03.391114+00:00",
    "rows": 812443,
    "tables": 1,
    "table_bytes": 190840832,
    "database_size_bytes": 1932735283,
    "server_version": "17.10",
    "system_identifier": "7573111111111111111",
}
DIFFERENCE = _answer(
    {
        "before": _SIDE,
        "after": _SIDE | {"name": "backup-2026-11-23T0130-nightly.dump", "at": "2026-11-23T01:30:02+00:00", "rows": 812501},
        "remarks": [],
        "tables": {
            "gone": [],
            "shrunk": [],
            "added": [],
            "grown": [
                {
                    "schema": "public",
                    "table": "shop_order",
                    "before": {"rows": 812443, "bytes": 190840832},
                    "after": {"rows": 812501, "bytes": 190857216},
                }
            ],
            "unchanged": 0,
            "identical": 0,
        },
        "migrations": {"added": [], "gone": []},
        "extensions": {"added": [], "gone": [], "changed": []},
    }
)
_NOT_DONE = {"status": "pending", "started_at": None, "finished_at": None, "duration_seconds": None, "load_seconds": None}
LEVEL = _request({"level": "restored"})
VERIFYING = _answer(_RESTORE | _NOT_DONE | {"verdict": "", "size_bytes": None, "comparison_report": {}}, "202")
CANCELLED = _answer({"id": _ID, "kind": "backup", "name": _NAME, "was_queued": False}, "202")
CANCELLED_RESTORE = _answer({"id": _RESTORE_ID, "kind": "restore", "name": "shop_rehearsal", "was_queued": True}, "202")
REASON = _request({"reason": "before the audit"})
PINNED = _answer({"filename": _NAME, "is_pinned": True, "reason": "before the audit", "before": ""})
UNPINNED = _answer({"filename": _NAME, "is_pinned": False, "reason": "", "before": "before the audit"})
MISSING = OpenApiExample(
    "gone",
    value={
        "type": "urn:icb:problem:object-missing",
        "title": f"No store that is configured has {_NAME}.",
        "status": 404,
        "detail": "",
        "hint": "Choose another backup, or see: icb db list",
        "instance": f"/admin/backups/{_ID}/download/",
    },
    response_only=True,
    status_codes=["404"],
    media_type="application/problem+json",
)
ORDER = _request({"target": "rehearsal", "confirm": "shop_rehearsal", "neutralize": True})
RESTORING = _answer(
    _RESTORE
    | _NOT_DONE
    | {"purpose": "restore", "level": "", "verdict": "", "source": _NAME, "target_database": "shop_rehearsal"}
    | {"size_bytes": None, "comparison_report": {}},
    "202",
)
PLAN = _answer(
    {
        "source": f"s3://shop-backups/production/postgres/{_NAME}",
        "backup": {
            "id": _ID,
            "filename": _NAME,
            "started_at": "2026-11-22T23:48:03.391114+00:00",
            "size_bytes": 299679744,
            "rows": 812443,
            "tables": 1,
            "postgres_version": "17.10",
            "restored_at": None,
            "verified_at": "2026-11-23T03:12:40+00:00",
        },
        "target": {
            "host": "db.internal",
            "port": 5432,
            "database": "shop_rehearsal",
            "system_identifier": "7573111111111111111",
            "postgres_version": "17.10",
            "exists": True,
            "is_empty": False,
            "size_bytes": 1932735283,
            "about_rows": 812000,
            "connections": 0,
        },
        "checks": [{"level": "ok", "text": "There is room for the archive in /tmp.", "detail": "", "hint": ""}],
        "needs_name": True,
        "asks_neutralize": False,
        "expected_seconds": 36.1,
        "measured_restores": 1,
    }
)
CONFIRM = _request({"confirm": "shop_rehearsal"})
UNDONE = _answer(
    {
        "database": "shop_rehearsal",
        "kept_database": "shop_rehearsal_undone_20261123T0401",
        "seconds": 0.012,
        "problems": [],
    }
)
FOLDER = _answer(
    {
        "bucket": "shop-backups",
        "prefix": "production/postgres/",
        "folders": ["production/postgres/records/"],
        "objects": [
            {
                "key": f"production/postgres/{_NAME}",
                "size_bytes": 299679744,
                "modified_at": "2026-11-22T23:48:10+00:00",
                "kind": "dump",
                "is_known": True,
                "backup": _URL,
            }
        ],
        "next": None,
    }
)
HEALTH = _answer(
    {
        "is_ok": True,
        "answer": "Safe now: all 17 checks are OK.",
        "checks": [
            {
                "id": "newest-backup",
                "subject": "shop",
                "state": "ok",
                "text": "newest backup 27 min ago, 285.8 MiB",
                "threshold": "older than 26 h",
                "hint": "",
            }
        ],
    }
)
