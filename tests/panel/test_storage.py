"""The bucket, browsed by the panel."""

import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from html import unescape

import pytest
from botocore.config import Config
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags
from pytest_django.fixtures import Settings

from backups import stores
from backups.admin import storage
from backups.models import AuditEntry, BackupHistory
from backups.storage import keys
from backups.types import Server
from tests.conftest import s3_client
from tests.integration import shelf
from tests.integration.health import made

pytestmark = pytest.mark.usefixtures("history")
STORAGE = "/admin/backups/storage/"
FOLDER = "testing/postgres/"


@pytest.fixture
def put(bucket: str, backups_settings: Settings) -> Callable[[str], None]:
    """Writes an object that is none of ours."""
    return lambda key: s3_client(backups_settings).put_object(Bucket=bucket, Key=key, Body=b"x")


def keys_in(settings: Settings, bucket: str) -> list[str]:
    return [one["Key"] for one in s3_client(settings).list_objects_v2(Bucket=bucket).get("Contents", [])]


def words(answer: object) -> str:
    return re.sub(r"\s+", " ", strip_tags(answer.content.decode())).replace("\N{NO-BREAK SPACE}", " ")  # type: ignore[attr-defined]


def test_a_dump_leads_to_its_backup_and_has_its_manifest_folded_under_it(administrator: Client, bucket: str) -> None:
    key = shelf.put("known", at=timezone.now() - timedelta(hours=1))
    page = administrator.get(STORAGE).content.decode()
    row = BackupHistory.objects.get()
    assert f'<a href="/admin/backups/{row.id}/">known</a>' in page
    assert page.count("<details><summary>manifest") == 1
    assert f'data-copy="{key}"' in page
    assert "not known to the history" not in page


def test_what_the_history_does_not_know_is_marked_and_can_be_shown_alone(
    administrator: Client, put: Callable[[str], None]
) -> None:
    shelf.put("known")
    put(FOLDER + "copy_DO_NOT_DELETE.sql.gz")
    said = words(administrator.get(STORAGE))
    assert "1 object on this page is not known to the history" in said
    alone = administrator.get(STORAGE, {"show": "unknown"}).content.decode()
    assert ("copy_DO_NOT_DELETE.sql.gz" in alone, ">known</a>" in alone) == (True, False)


def test_only_a_dump_that_has_a_manifest_is_said_to_be_known_after_a_sync(
    administrator: Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("bare", row=False, manifest=False)
    said = words(administrator.get(STORAGE))
    assert "a dump without a manifest: no backup, or none yet" in said
    assert "a dump without a row" not in said
    shelf.put("lost", row=False, minutes=1)
    said = words(administrator.get(STORAGE))
    assert ("a dump without a manifest" in said, "a dump without a row: reconciling" in said) == (True, True)
    monkeypatch.setattr(storage, "PAGE", 2)  # which ends before the manifest of the second
    assert "a dump without a row: reconciling" in words(administrator.get(STORAGE))


def test_what_is_chosen_on_a_later_page_is_chosen_of_that_page(
    administrator: Client, put: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PAGE", 1)
    for name in ("a.txt", "b.txt"):
        put(FOLDER + name)
    first = administrator.get(STORAGE, {"prefix": FOLDER}).content.decode()
    (further,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = administrator.get(STORAGE + unescape(further)).content.decode()
    for words_of_link in ("Show only this one", "Name", "Size"):
        (address,) = re.findall(rf'<a href="([^"]+)">{words_of_link}</a>', second)
        page = administrator.get(STORAGE + unescape(address)).content.decode()
        assert ("b.txt" in page, "a.txt" in page) == (True, False), words_of_link
    (back,) = re.findall(r'href="([^"]+)">First page</a>', second)
    assert "a.txt" in administrator.get(STORAGE + unescape(back)).content.decode()


def test_folders_come_first_and_lead_down_and_up(administrator: Client, put: Callable[[str], None]) -> None:
    put(FOLDER + "older/one.txt")
    page = administrator.get(STORAGE).content.decode()
    assert '?prefix=testing/postgres/older/"' in page
    assert "one.txt" in administrator.get(STORAGE, {"prefix": FOLDER + "older/"}).content.decode()
    assert "postgres/" in administrator.get(STORAGE, {"prefix": "testing/"}).content.decode()


def test_names_are_filtered_by_how_they_begin(administrator: Client, put: Callable[[str], None]) -> None:
    for name in ("alpha.txt", "beta.txt"):
        put(FOLDER + name)
    page = administrator.get(STORAGE, {"starts": "be"}).content.decode()
    assert ("beta.txt" in page, "alpha.txt" in page) == (True, False)


@pytest.mark.parametrize("prefix", ["production/postgres/", "testing/../production/", "/", "testing"])
def test_nothing_outside_of_the_environment_is_shown(administrator: Client, bucket: str, prefix: str) -> None:
    answer = administrator.get(STORAGE, {"prefix": prefix})
    assert answer.status_code == 400
    assert "This must be a folder below testing/" in words(answer)
    assert "Begin where the backups are, at testing/postgres/" in words(answer)
    assert f'href="{STORAGE}"' in answer.content.decode().partition("<main")[2]


@pytest.mark.parametrize("page", ["download/", "delete/"])
@pytest.mark.parametrize("key", ["", "testing/../../x", "../../x", "production/postgres/x.dump"])
def test_a_key_that_is_refused_is_called_a_key_and_the_way_to_what_may_be_seen_is_told(
    administrator: Client, bucket: str, page: str, key: str
) -> None:
    answer = administrator.get(STORAGE + page, {"key": key})
    said = words(answer)
    assert answer.status_code == 400
    assert f"Only objects below testing/ may be seen or taken here, and the key “{key}” is none." in said
    assert "Open the folder testing/postgres/ in the storage browser" in said
    assert "must be a folder" not in said
    assert f'href="{STORAGE}"' in answer.content.decode().partition("<main")[2]


def test_an_unknown_object_is_deleted_by_its_typed_name(
    administrator: Client, put: Callable[[str], None], bucket: str, backups_settings: Settings
) -> None:
    key = FOLDER + "stray.txt"
    put(key)
    address = STORAGE + "delete/"
    assert "Type its name, stray.txt" in words(administrator.get(address, {"key": key}))
    assert administrator.post(address, {"key": key, "confirm": "stray"}).status_code == 400
    assert keys_in(backups_settings, bucket) == [key]
    assert administrator.post(address, {"key": key, "confirm": "stray.txt"}).status_code == 302
    assert keys_in(backups_settings, bucket) == []
    assert [(one.action, one.outcome) for one in AuditEntry.objects.order_by("at")] == [
        ("delete_object", "refused"),
        ("delete_object", "done"),
    ]


def test_what_turns_or_hides_a_name_is_marked_and_its_mark_may_be_typed(
    administrator: Client, put: Callable[[str], None], bucket: str, backups_settings: Settings
) -> None:
    turned, key = "\N{RIGHT-TO-LEFT OVERRIDE}", FOLDER + "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
    put(key)
    shown = administrator.get(STORAGE).content.decode()
    asked = administrator.get(STORAGE + "delete/", {"key": key}).content.decode()
    assert '<span class="key exact">\N{REPLACEMENT CHARACTER}gnp.exe</span>' in shown
    assert '<b class="exact">\N{REPLACEMENT CHARACTER}gnp.exe</b>' in asked
    assert (turned in strip_tags(shown), turned in strip_tags(asked)) == (False, False)
    given = {"key": key, "confirm": "\N{REPLACEMENT CHARACTER}gnp.exe"}
    assert administrator.post(STORAGE + "delete/", given).status_code == 302
    assert keys_in(backups_settings, bucket) == []


def test_a_key_is_told_as_it_is_written(administrator: Client, put: Callable[[str], None]) -> None:
    put(FOLDER + "a+b.dump")
    given = {"key": FOLDER + "a+b.dump", "confirm": "a+b.dump"}
    assert "a+b.dump was deleted." in words(administrator.post(STORAGE + "delete/", given, follow=True))


def test_what_belongs_to_a_backup_is_never_deleted_as_an_object(
    administrator: Client, bucket: str, backups_settings: Settings
) -> None:
    known, lost = shelf.put("known"), shelf.put("lost", minutes=1, row=False)
    before = keys_in(backups_settings, bucket)
    for key in (known, known + ".json", lost, lost + ".json", "testing/records/x.json", "production/postgres/x"):
        answer = administrator.post(STORAGE + "delete/", {"key": key, "confirm": key.rpartition("/")[2]})
        assert answer.status_code in (400, 404, 409), key
    assert keys_in(backups_settings, bucket) == before


def test_a_dump_whose_manifest_is_damaged_is_deleted_by_its_typed_name_once_that_is_said(
    administrator: Client, bucket: str, backups_settings: Settings
) -> None:
    key = shelf.put("broken", row=False)
    s3_client(backups_settings).put_object(Bucket=bucket, Key=keys.manifest_key(key), Body=b"{")
    said = words(administrator.get(STORAGE + "delete/", {"key": key}))
    assert "Its manifest can't be trusted" in unescape(said)
    assert "it is not JSON as we write it" in said
    for one in (key, keys.manifest_key(key)):
        given = {"key": one, "confirm": keys.filename_of(one)}
        assert administrator.post(STORAGE + "delete/", given).status_code == 302
    assert keys_in(backups_settings, bucket) == []


def test_what_may_be_another_site_s_backup_stays_and_leads_to_the_key_or_to_the_stores_own_means(
    administrator: Client, bucket: str, backups_settings: Settings
) -> None:
    key = shelf.put("theirs", row=False, signing_key=b"theirs")
    for one in (key, keys.manifest_key(key)):
        answer = administrator.post(STORAGE + "delete/", {"key": one, "confirm": keys.filename_of(one)})
        assert answer.status_code == 409
        said = words(answer)
        assert "may be a backup of another site" in said
        assert "BACKUPS_SIGNING_KEY_FALLBACKS" in said
        assert f"aws s3 rm s3://{bucket}/{key}" in said
        assert "icb db sync" not in said
    assert set(keys_in(backups_settings, bucket)) == {key, keys.manifest_key(key)}


def test_what_is_left_of_a_deleted_backup_leads_to_it_and_may_be_deleted(
    administrator: Client, bucket: str, backups_settings: Settings
) -> None:
    key = shelf.put("gone", manifest=False, deleted_at=timezone.now())
    page = administrator.get(STORAGE, {"show": "left"}).content.decode()
    assert (">gone</a>" in page, "storage/delete/" in page) == (True, True)
    assert "1 object on this page is left of a backup that was deleted." in page
    assert "not known to the history" not in page
    assert administrator.post(STORAGE + "delete/", {"key": key, "confirm": key.rpartition("/")[2]}).status_code == 302
    assert keys_in(backups_settings, bucket) == []


def test_an_object_is_downloaded_from_the_store_and_that_is_noted(administrator: Client, put: Callable[[str], None]) -> None:
    put(FOLDER + "stray.txt")
    answer = administrator.get(STORAGE + "download/", {"key": FOLDER + "stray.txt"})
    assert answer.status_code == 302
    assert "stray.txt" in answer["Location"]
    assert "no-store" in answer["Cache-Control"]
    assert AuditEntry.objects.get().action == "download_object"


@pytest.mark.parametrize(("group", "download", "delete"), [("backup viewer", 403, 403), ("backup restorer", 302, 403)])
def test_who_may_not_download_or_delete_is_refused_and_sees_no_button(
    browser_of: Callable[..., Client], put: Callable[[str], None], group: str, download: int, delete: int
) -> None:
    key = FOLDER + "stray.txt"
    put(key)
    client = browser_of(group)
    page = client.get(STORAGE).content.decode()
    assert ("storage/download/" in page, "storage/delete/" in page) == (download == 302, delete == 302)
    assert client.get(STORAGE + "download/", {"key": key}).status_code == download
    assert client.get(STORAGE + "delete/", {"key": key}).status_code == delete


def test_without_a_bucket_it_says_what_to_set(administrator: Client, backups_settings: Settings) -> None:
    options = {**backups_settings.STORAGES["backups"]["OPTIONS"], "bucket_name": ""}
    backups_settings.STORAGES = {
        **backups_settings.STORAGES,
        "backups": {**backups_settings.STORAGES["backups"], "OPTIONS": options},
    }
    assert "AWS_S3_BACKUP_BUCKET names a bucket" in words(administrator.get(STORAGE))


@pytest.fixture
def silent_store(use_bucket: Callable[..., str]) -> Iterator[list[socket.socket]]:
    """In use: a store that takes connections, which are listed, and says nothing. Pages read for 0.2 s."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(max_workers=1) as pool:

        def take() -> None:
            with suppress(OSError):  # which is how the end is told
                while True:
                    taken.append(listening.accept()[0])

        pool.submit(take)
        port = listening.getsockname()[1]
        use_bucket(make=False, endpoint_url=f"http://127.0.0.1:{port}", client_config=Config(read_timeout=0.2))
        try:
            yield taken
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in taken:
                connection.close()


def test_a_store_that_says_nothing_is_asked_twice_and_not_for_longer(
    administrator: Client, silent_store: list[socket.socket]
) -> None:
    answer = administrator.get(STORAGE)
    assert (answer.status_code, len(silent_store)) == (502, 2)


@pytest.mark.parametrize(
    ("page", "given"),
    [
        ("{id}/pin/", {"reason": "why"}),
        ("{id}/unpin/", {}),
        ("{id}/delete/", {"name": "{filename}"}),
        ("{id}/restore/", {"target": "source", "confirm": "wrong"}),
        ("prune/", {"name": "wrong"}),
        ("storage/delete/", {"key": "testing/postgres/x", "confirm": "x"}),
        ("storage/delete/", {"key": "testing/postgres/x", "confirm": "wrong"}),
    ],
)
def test_what_is_asked_for_waits_for_a_silent_store_no_longer_than_a_look(
    administrator: Client,
    silent_store: list[socket.socket],
    source: Server,
    backups_settings: Settings,
    page: str,
    given: dict[str, str],
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}
    row = made("shop", filename=keys.filename(at=timezone.now(), description="one"))
    told = {name: text.format(filename=row.filename) for name, text in given.items()}
    answer = administrator.post(f"/admin/backups/{page.format(id=row.pk)}", told)
    assert answer.status_code >= 400
    assert len(silent_store) == 2
    row.refresh_from_db()
    assert (row.deleted_at, row.pin_reason) == (None, "")


def test_pages_ask_by_the_client_of_the_page_before(administrator: Client, bucket: str) -> None:
    asked: list[str] = []
    with stores.for_a_page():
        client = stores.configured().require_s3().client
    client.meta.events.register("before-call.s3", lambda model, **_call: asked.append(model.name))
    administrator.get(STORAGE)
    assert asked == ["ListObjectsV2"]


def test_what_is_no_page_asks_by_a_client_of_its_own(bucket: str) -> None:
    with stores.for_a_page():
        first = stores.configured().s3
    assert stores.configured().s3 is not first


def test_the_next_page_asks_by_the_settings_as_they_are_then(
    administrator: Client, bucket: str, use_bucket: Callable[..., str]
) -> None:
    administrator.get(STORAGE)
    other = use_bucket()
    assert f"<li>{other}</li>" in administrator.get(STORAGE).content.decode()


def test_credentials_that_boto_finds_are_looked_for_anew_by_each_page(use_bucket: Callable[..., str]) -> None:
    use_bucket(make=False, access_key=None, secret_key=None)
    with stores.for_a_page():
        assert stores.configured().s3 is not stores.configured().s3
