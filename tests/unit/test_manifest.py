"""The signed manifest: nothing but what we wrote is ever believed, and nothing that is read can break the reader."""

import json
import random
import string
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups import signed as signed_module
from backups.exceptions import ConfigurationError, ManifestError
from backups.manifest import FORMAT, VERSION, parse, serialize
from backups.signed import ALGORITHM, key_id
from backups.types import Globals, Locale, Manifest, Objects, Snapshot, TableRows

KEY = b"a signing key of 32 characters.."
PLAIN = Manifest(
    id=UUID("6f1c9a52-7a60-4a8c-9a0e-0d3b8f3f6a11"),
    filename="backup-2024-01-15T1200-pre-migration.dump",
    description="pre migration",
    backup_type="manual",
    environment="production",
    database="chinook",
    started_at=datetime(2024, 1, 15, 12, 0, 0, 123456, tzinfo=UTC),
    finished_at=datetime(2024, 1, 15, 12, 3, 5, tzinfo=UTC),
    size_bytes=285_800_000,
    checksum="0123456789abcdef" * 4,
    bucket="backups",
    key="production/postgres/backup-2024-01-15T1200-pre-migration.dump",
    pg_dump_version="17.10",
    compression="zstd",
    application_version="abc123",
    triggered_by="chris",
    snapshot=Snapshot(
        tables=(
            TableRows(schema="public", table="playlist_track", rows=8715, bytes=1 << 20),
            TableRows(schema="shöp", table='weird "name"\n=x', rows=0, bytes=0, fingerprint="00ff" * 4),
        ),
        database_size_bytes=1 << 33,
        server_version="17.10 (Debian)",
        server_version_num=170010,
        system_identifier="7330000000000000000",
        encoding="UTF8",
        locale=Locale(collate="C", ctype="C.UTF-8"),
        extensions=(("pg_trgm", "1.6"), ("plpgsql", "1.0")),
        migrations=("auth.0001_initial",),
        roles=("icb", "postgres"),
    ),
    objects=(
        Objects(kind="FUNCTION", count=60_000),
        Objects(kind="INDEX", count=2, names=("public.playlist_track_pkey", "shöp.weird \n")),
    ),
    globals=Globals(size_bytes=1234, checksum="fedcba9876543210" * 4),
    warnings=("shop.ticket has lost 40% of its rows",),
    guards=("shop.0003_drop_price",),
)
OPTIONAL = {"objects", "globals", "warnings", "guards"}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
counts = st.integers(0, 1 << 80)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))
manifests = st.builds(
    Manifest,
    **dict.fromkeys(
        ("filename", "description", "backup_type", "environment", "database", "bucket", "key", "pg_dump_version"), texts
    ),
    **dict.fromkeys(("compression", "application_version", "triggered_by"), texts),
    id=st.uuids(),
    started_at=moments,
    finished_at=moments,
    size_bytes=counts,
    checksum=st.text("0123456789abcdef", min_size=64, max_size=64),
    snapshot=st.builds(
        Snapshot,
        tables=st.lists(
            st.builds(
                TableRows,
                schema=texts,
                table=texts,
                rows=counts,
                bytes=counts,
                fingerprint=st.just("") | st.text("0123456789abcdef", min_size=16, max_size=16),
            ),
            max_size=5,
        ).map(tuple),
        database_size_bytes=counts,
        server_version=texts,
        server_version_num=counts,
        system_identifier=texts,
        encoding=texts,
        locale=st.builds(Locale, provider=st.sampled_from("cib"), collate=texts, ctype=texts, name=texts),
        extensions=st.dictionaries(texts, texts, max_size=4).map(lambda given: tuple(sorted(given.items()))),
        migrations=st.lists(texts, max_size=4).map(tuple),
        roles=st.lists(texts, max_size=4).map(tuple),
    ),
    objects=st.none()
    | st.dictionaries(texts, counts | st.lists(texts, min_size=1, max_size=4), max_size=4).map(
        lambda given: tuple(sorted(noted(kind, told) for kind, told in given.items()))
    ),
)


def noted(kind: str, told: int | list[str]) -> Objects:
    return Objects(kind=kind, count=told) if isinstance(told, int) else Objects(kind=kind, count=len(told), names=tuple(told))


def document(manifest: Manifest = PLAIN) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(serialize(manifest, signing_key=KEY))
    return made


def signed(payload: object) -> bytes:
    """Bytes that carry our signature, whatever is in them: for what only the form can refuse."""
    value = signed_module._sign(payload, KEY)
    signature = {"algorithm": ALGORITHM, "key_id": key_id(KEY), "value": value}
    return json.dumps({"format": FORMAT, "version": VERSION, "backup": payload, "signature": signature}).encode()


@given(manifests)
def test_any_manifest_comes_back_as_it_was(manifest: Manifest) -> None:
    assert parse(serialize(manifest, signing_key=KEY), signing_key=KEY) == manifest


def test_times_are_written_in_utc_and_read_to_the_microsecond() -> None:
    there = PLAIN.started_at.astimezone(tz=ZoneInfo("America/New_York"))
    data = serialize(replace(PLAIN, started_at=there), signing_key=KEY)

    assert b'"2024-01-15T12:00:00.123456+00:00"' in data
    assert parse(data, signing_key=KEY) == PLAIN
    assert PLAIN.duration_seconds == pytest.approx(184.876544)


def test_it_is_json_that_people_can_read_with_all_that_a_row_needs() -> None:
    backup = document()["backup"]

    assert (backup["description"], backup["size_bytes"], backup["triggered_by"]) == ("pre migration", 285_800_000, "chris")
    assert backup["tables"][0] == {"schema": "public", "table": "playlist_track", "rows": 8715, "bytes": 1 << 20}
    assert serialize(PLAIN, signing_key=KEY).decode().count("\n") > 30
    assert "shöp" in serialize(PLAIN, signing_key=KEY).decode()


def test_white_space_and_the_order_of_names_may_change_and_nothing_else() -> None:
    squeezed = json.dumps(document(), separators=(",", ":"), sort_keys=True).encode()
    assert parse(squeezed, signing_key=KEY) == PLAIN


@given(st.lists(st.tuples(st.integers(0, 1 << 30), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4))
def test_changed_bytes_are_refused_or_mean_the_same(changes: list[tuple[int, bytes, int]]) -> None:
    data = bytearray(serialize(PLAIN, signing_key=KEY))
    for at, put, removed in changes:
        at %= len(data)
        data[at : at + removed] = put
    require_refused_or_equal(bytes(data))


@pytest.mark.parametrize("seed", range(5))
def test_many_random_mutations_are_refused_or_mean_the_same(seed: int) -> None:
    """100,000 of them, with fixed seeds, so that a failure comes back."""
    chosen, data = random.Random(seed), serialize(PLAIN, signing_key=KEY)
    interesting = [
        "NaN",
        "1e999",
        "-0",
        "null",
        "{}",
        "[]",
        '"',
        "\\ud800",
        "\\u0000",
        "\xff",
        "true",
        "1.0",
        "00",
        ",",
        "}",
        "[",
    ]
    refused = 0
    for _number in range(20_000):
        at, length = chosen.randrange(len(data)), chosen.choice((0, 1, 1, 1, 2, 8, 60))
        kind = chosen.randrange(4)
        if kind == 0:
            put = bytes([data[at] ^ (1 << chosen.randrange(8))])
        elif kind == 1:
            put = chosen.choice(interesting).encode("latin-1")
        elif kind == 2:
            put = data[(other := chosen.randrange(len(data))) : other + length]
        else:
            put = b""
        refused += require_refused_or_equal(data[:at] + put + data[at + length :])
    assert refused > 15_000


def test_it_is_refused_when_cut_off_anywhere() -> None:
    data = serialize(PLAIN, signing_key=KEY)
    for end in range(len(data) - 2):
        with pytest.raises(ManifestError):
            parse(data[:end], signing_key=KEY)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(data, signing_key=KEY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["format", "version", "backup", "signature"]), json_values)
def test_any_other_value_in_the_frame_is_refused(name: str, value: object) -> None:
    changed = document() | {name: value}
    if changed != document():
        with pytest.raises(ManifestError):
            parse(json.dumps(changed).encode(), signing_key=KEY)


@given(st.sampled_from(sorted(document()["signature"])), json_values)
def test_any_other_value_in_the_signature_is_refused(name: str, value: object) -> None:
    changed = document()
    changed["signature"][name] = value
    if changed != document():
        with pytest.raises(ManifestError):
            parse(json.dumps(changed).encode(), signing_key=KEY)


@given(st.sampled_from(sorted(document()["backup"])), json_values)
def test_a_field_of_another_kind_is_refused_even_with_our_signature(name: str, value: object) -> None:
    backup = document()["backup"]
    if isinstance(value, str) or value == backup[name] or "NaN" in json.dumps(value) or "Infinity" in json.dumps(value):
        return
    empty_containers = {"tables": [], "migrations": [], "roles": [], "extensions": {}, "objects": {}}
    if value == empty_containers.get(name, object()) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return
    if isinstance(value, list | dict) and isinstance(backup[name], list | dict):
        return  # their members are tested below
    with pytest.raises(ManifestError):
        parse(signed(backup | {name: value}), signing_key=KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "no uuid"),
        ("started_at", "2024-01-15T12:00:00"),  # without its zone
        ("started_at", "yesterday"),
        ("started_at", "0001-01-01T00:00:00+23:59"),  # before the first moment
        ("finished_at", 1705320000),
        ("size_bytes", True),
        ("size_bytes", -1),
        ("size_bytes", 1.0),
        ("size_bytes", "1"),
        ("checksum_sha256", "A" * 64),
        ("checksum_sha256", "a" * 63),
        ("checksum_sha256", "٣" * 64),
        ("extensions", [["plpgsql", "1.0"]]),
        ("extensions", {"plpgsql": 1}),
        ("migrations", "auth.0001"),
        ("migrations", [1]),
        ("roles", {"icb": 1}),
        ("tables", [{"schema": "a", "table": "b", "rows": 1}]),
        ("tables", [{"schema": "a", "table": "b", "rows": 1, "bytes": 1, "more": 1}]),
        ("tables", [{"schema": "a", "table": "b", "rows": False, "bytes": 1}]),
        ("tables", [None]),
        ("objects", None),
        ("objects", ["public.a"]),
        ("objects", {"INDEX": None}),
        ("objects", {"INDEX": True}),
        ("objects", {"INDEX": -1}),
        ("objects", {"INDEX": [1]}),
        ("objects", {"INDEX": "public.a"}),
        ("database", None),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_even_with_our_signature(name: str, value: object) -> None:
    with pytest.raises(ManifestError, match="not well formed"):
        parse(signed(document()["backup"] | {name: value}), signing_key=KEY)


@pytest.mark.parametrize("name", sorted(set(document()["backup"]) - OPTIONAL))
def test_a_missing_field_is_refused_even_with_our_signature(name: str) -> None:
    backup = document()["backup"]
    del backup[name]
    with pytest.raises(ManifestError, match="has not the fields"):
        parse(signed(backup), signing_key=KEY)


def test_objects_that_were_not_noted_are_not_known() -> None:
    """Backups made before they were noted are as good as others."""
    backup = document()["backup"]
    del backup["objects"]

    assert parse(signed(backup), signing_key=KEY) == replace(PLAIN, objects=None)
    assert "objects" not in document(replace(PLAIN, objects=None))["backup"]


def test_a_database_without_objects_is_not_one_whose_objects_are_unknown() -> None:
    assert parse(serialize(replace(PLAIN, objects=()), signing_key=KEY), signing_key=KEY).objects == ()


def test_objects_are_written_in_few_words() -> None:
    assert document()["backup"]["objects"] == {"FUNCTION": 60_000, "INDEX": ["public.playlist_track_pkey", "shöp.weird \n"]}


def test_a_further_field_is_refused_even_with_our_signature() -> None:
    with pytest.raises(ManifestError, match="has not the fields"):
        parse(signed(document()["backup"] | {"encrypted": False}), signing_key=KEY)


@pytest.mark.parametrize("payload", [None, 1, "x", [], True])
def test_a_backup_that_is_no_object_is_refused_even_with_our_signature(payload: object) -> None:
    with pytest.raises(ManifestError):
        parse(signed(payload), signing_key=KEY)


def test_a_name_that_stands_twice_is_refused() -> None:
    data = serialize(PLAIN, signing_key=KEY)
    twice = data.replace(b'"backup": {', b'"backup": {"database": "other",', 1)
    with pytest.raises(ManifestError) as refused:
        parse(twice, signing_key=KEY)
    assert "twice" in refused.value.detail


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "9" * 5000, "1e999"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    data = serialize(PLAIN, signing_key=KEY).replace(b"285800000", number.encode(), 1)
    with pytest.raises(ManifestError):
        parse(data, signing_key=KEY)


@pytest.mark.parametrize("depth", [500, 900, 2_000, 100_000])
@pytest.mark.parametrize("name", ["format", "version", "backup", "signature"])
def test_deep_nesting_is_refused_wherever_it_is(name: str, depth: int) -> None:
    data = json.dumps(document() | {name: "HERE"}).replace('"HERE"', "[" * depth + "]" * depth).encode()
    with pytest.raises(ManifestError) as refused:
        parse(data, signing_key=KEY)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("field", ["algorithm", "key_id", "value"])
@pytest.mark.parametrize("text", ["\ud800", "é" * 64, "x" * 100_000, ""])
def test_strange_texts_in_the_signature_are_refused_in_few_words(field: str, text: str) -> None:
    changed = document()
    changed["signature"][field] = text
    with pytest.raises(ManifestError) as refused:
        parse(json.dumps(changed).encode(), signing_key=KEY)
    str(refused.value).encode()
    assert len(str(refused.value)) < 500


def test_half_a_surrogate_in_a_text_is_refused() -> None:
    data = serialize(PLAIN, signing_key=KEY).replace(b"pre migration", b"\\ud800", 1)
    with pytest.raises(ManifestError, match="not well formed"):
        parse(data, signing_key=KEY)


def test_another_key_is_named_by_its_id_and_no_key_is_told() -> None:
    other = b"the key of last year, 32 and more"
    with pytest.raises(ManifestError) as refused:
        parse(serialize(PLAIN, signing_key=other), signing_key=KEY)

    assert key_id(other) in str(refused.value)
    assert key_id(KEY) in str(refused.value)
    assert "BACKUPS_SIGNING_KEY" in refused.value.hint
    assert other.decode() not in str(refused.value)
    assert KEY.decode() not in str(refused.value)


def test_a_signature_of_another_key_under_our_keys_id_is_refused() -> None:
    forged = json.loads(serialize(PLAIN, signing_key=b"mallory"))
    forged["signature"]["key_id"] = key_id(KEY)
    with pytest.raises(ManifestError, match="does not match"):
        parse(json.dumps(forged).encode(), signing_key=KEY)


def test_a_newer_version_is_named() -> None:
    with pytest.raises(ManifestError, match="version 2 is unknown"):
        parse(json.dumps(document() | {"version": 2}).encode(), signing_key=KEY)
    with pytest.raises(ManifestError, match="version True is unknown"):
        parse(json.dumps(document() | {"version": True}).encode(), signing_key=KEY)


def test_without_a_signing_key_nothing_is_signed_and_nothing_believed() -> None:
    for attempt in (lambda: serialize(PLAIN, signing_key=b""), lambda: parse(signed({}), signing_key=b"")):
        with pytest.raises(ConfigurationError, match="no signing key"):
            attempt()


def test_a_key_id_is_stable_short_and_tells_keys_apart() -> None:
    assert key_id(KEY) == key_id(KEY) != key_id(KEY + b"x")
    assert len(key_id(KEY)) == 16
    assert set(key_id(KEY)) <= set(string.hexdigits.lower())


def require_refused_or_equal(data: bytes) -> bool:
    """True when it was refused. Any exception but ManifestError fails the test."""
    try:
        read = parse(data, signing_key=KEY)
    except ManifestError:
        return True
    assert read == PLAIN
    return False


# Rotation


OLD_KEY = b"the key of the years before this"


def test_what_an_earlier_key_has_signed_is_believed_while_it_is_a_fallback() -> None:
    data = serialize(PLAIN, signing_key=OLD_KEY)
    assert parse(data, signing_key=KEY, fallback_keys=[b"another", OLD_KEY]) == PLAIN
    with pytest.raises(ManifestError, match=key_id(OLD_KEY)):
        parse(data, signing_key=KEY, fallback_keys=[b"another"])


def test_every_key_that_is_ours_is_named_where_none_fits() -> None:
    with pytest.raises(ManifestError) as refused:
        parse(serialize(PLAIN, signing_key=b"mallory"), signing_key=KEY, fallback_keys=[OLD_KEY])
    assert all(key_id(key) in refused.value.message for key in (KEY, OLD_KEY, b"mallory"))
    assert "BACKUPS_SIGNING_KEY_FALLBACKS" in refused.value.hint
