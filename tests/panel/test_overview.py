"""The first page: the answer, its numbers, what needs somebody, what runs and what comes next."""

import html
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from pytest_django.fixtures import Settings

from backups import conf, heartbeats
from backups.alerting import look
from backups.health.asking import report
from backups.models import BackupHistory, Heartbeat, Incident
from backups.storage import keys
from backups.types import Server
from tests.integration.health import made, verified

OVERVIEW, RUNNING = "/admin/backups/", "/admin/backups/running/"
BY_HTMX = {"HX-Request": "true"}
MINUS = "\N{MINUS SIGN}"
pytestmark = pytest.mark.usefixtures("history", "nothing_scheduled")


@pytest.fixture
def nothing_scheduled(history: None) -> Iterator[None]:
    """No schedules of the migrations, no heartbeats."""
    PeriodicTask.objects.all().delete()
    yield
    Heartbeat.objects.all().delete()


@pytest.fixture
def browser(browser_of: Callable[..., Client]) -> Client:
    return browser_of("backup viewer")


@pytest.fixture
def page(browser: Client) -> Callable[..., str]:
    """What an address shows to a viewer, in one line."""
    return lambda address=OVERVIEW, **headers: read(browser, address, **headers)


def read(browser: Client, address: str = OVERVIEW, **headers: str) -> str:
    answer = browser.get(address, headers=headers)
    assert answer.status_code == 200
    return html.unescape(" ".join(answer.content.decode().replace("\xa0", " ").split()))


def site() -> str:
    return conf.server("default").database


def title(shown: str) -> str:
    (found,) = re.findall(r"<h1>(.*?)</h1>", shown)
    return str(found)


def numbers(shown: str) -> list[str]:
    return [re.sub(r"<[^>]+>", "", value).strip() for value in re.findall(r'<p class="value">(.*?)</p>', shown)]


def incident(event: str, subject: str, **fields: object) -> Incident:
    return Incident.objects.create(key=f"{event}:{subject}", event=event, environment="testing", message="It is so.", **fields)


def scheduled(task: str, name: str, **fields: object) -> PeriodicTask:
    each, _ = IntervalSchedule.objects.get_or_create(every=6, period="hours")
    return PeriodicTask.objects.create(name=name, task=f"backups.tasks.{task}", interval=each, **fields)


# The answer.


def test_with_a_verified_backup_you_are_safe(page: Callable[..., str]) -> None:
    verified(made(site(), hours_ago=3.5), hours_ago=2, seconds=338)
    shown = page()
    assert title(shown) == "You are safe"
    assert "you would lose the changes of the last 3 h 30 min and be back in about 5 min 38 s." in shown
    assert numbers(shown) == ["3h 30min", "3h 30min", "5min 38s"]
    assert "proven 2 h ago, limit 8 d" in shown


def test_a_newer_backup_that_is_not_verified_yet_shrinks_what_is_lost_but_not_at_worst(page: Callable[..., str]) -> None:
    verified(made(site(), hours_ago=13), hours_ago=12)
    made(site(), hours_ago=0.5)
    shown = page()
    assert numbers(shown)[:2] == ["13h", "30min"]
    assert "not verified yet. At worst 13 h" in shown


def test_a_backup_that_was_never_proven_is_not_safe(page: Callable[..., str]) -> None:
    made(site())
    shown = page()
    assert title(shown) == "You are not safe"
    assert "No backup was ever proven by a restore." in shown
    assert "icb db verify latest" in shown
    assert numbers(shown) == ["None", "1h", "Not measured yet"]


def test_a_proof_that_was_lost_is_told_as_lost(page: Callable[..., str]) -> None:
    backup = made(site(), hours_ago=5)
    verified(backup, hours_ago=4)
    BackupHistory.objects.filter(pk=backup.pk).update(bad_at=timezone.now())
    shown = page()
    assert "No backup is proven by a restore any more: what was proven was found bad." in shown
    assert "What was restored to prove it was found bad" in shown


def test_while_the_newest_backup_is_a_bad_one_nobody_is_called_safe(page: Callable[..., str]) -> None:
    verified(made(site(), hours_ago=5), hours_ago=4)
    made(site(), hours_ago=1, bad_at=timezone.now())
    shown = page()
    assert title(shown) == "You are not safe"
    assert "The newest backup was found bad." in shown
    assert numbers(shown)[:2] == ["5h", "5h"]


def test_an_old_backup_is_not_safe_and_the_failures_are_told_with_the_servers_words(page: Callable[..., str]) -> None:
    verified(made(site(), hours_ago=60), hours_ago=59)
    for hours in (30, 6):
        made(
            site(), hours_ago=hours, status="failed", error_message="pg_dump failed.\nERROR:  permission denied for table ledger"
        )
    shown = page()
    assert title(shown) == "You are not safe"
    assert "The last 2 backups failed. If the server were lost this minute" in shown
    assert f"<h3>The last 2 backups of {site()} failed</h3>" in shown
    assert "permission denied for table ledger</pre>" in shown
    assert "<code>icb db backup again</code>" in shown


def test_of_two_databases_of_one_name_each_one_s_failures_are_told_once(
    page: Callable[..., str], register_alias: Callable[[str, Server], None]
) -> None:
    for alias, port in (("here", 5432), ("there", 54320)):
        register_alias(alias, Server(host="db.invalid", port=port, user="u", password="", database="shop"))
        made("shop", hours_ago=2, alias=alias, server_address=f"db.invalid:{port}")
        made("shop", hours_ago=1, status="failed", alias=alias, error_message="It did.")
    look()
    shown = page()
    assert [shown.count(f"<h3>The last backup of shop ({alias}) failed</h3>") for alias in ("here", "there")] == [1, 1]
    assert shown.count("It did.</pre>") == 2


def test_a_failure_that_is_no_danger_yet_needs_attention_and_you_are_safe(page: Callable[..., str]) -> None:
    verified(made(site(), hours_ago=5), hours_ago=4)
    made(site(), hours_ago=1, status="failed", error_message="It did.")
    shown = page()
    assert title(shown) == "You are safe"
    assert "One thing needs attention." in shown


def test_a_bucket_that_was_away_when_last_looked_at_is_not_safe(page: Callable[..., str]) -> None:
    verified(made(site()))
    incident("bucket-reachable", "shop-backups")
    assert title(page()) == "You are not safe"


def test_of_several_databases_the_least_safe_answers_and_each_is_told(
    page: Callable[..., str], register_alias: Callable[[str, Server], None], make_database: Callable[..., Server]
) -> None:
    other = make_database()
    register_alias("other", other)
    verified(made(site()))
    made(other.database, hours_ago=2)
    shown = page()
    assert title(shown) == "You are not safe"
    assert f"Database {other.database}, testing: the least safe of 2" in shown
    assert numbers(shown)[1] == "2h"
    assert numbers(page(f"{OVERVIEW}?database=default"))[1] == "1h"
    assert f'href="?database=default">{site()}</a>' in shown


def test_a_database_without_backup_or_schedule_is_told_with_the_way_to_one(
    page: Callable[..., str], browser_of: Callable[..., Client], source: Server
) -> None:
    verified(made(site()))
    shown, way = page(), 'href="/admin/backups/new/?database=source"'
    assert title(shown) == "You are safe"
    assert ("No backup yet" in shown, way in shown) == (True, False)
    assert f"A database has no backup: {source.database}." in shown
    assert way in read(browser_of("backup operator"))


# Nothing yet.


def test_without_any_backup_it_teaches(page: Callable[..., str]) -> None:
    shown = page()
    assert title(shown) == "No backups yet"
    assert f"all of {site()} would be lost" in shown
    assert [step in shown for step in ("icb db backup first", "icb db verify latest", "icb up")] == [True] * 3
    assert "Needs attention" not in shown


def test_what_is_up_need_not_be_started(page: Callable[..., str]) -> None:
    heartbeats.beat(heartbeats.SCHEDULER, *map(heartbeats.of_queue, heartbeats.QUEUES))
    shown = page()
    assert "icb up" not in shown
    assert "A scheduler and a worker are running" in shown


def test_a_first_backup_that_failed_is_told_where_it_teaches(page: Callable[..., str]) -> None:
    made(site(), status="failed", error_message="The bucket is away.")
    shown = page()
    assert title(shown) == "No backups yet"
    assert "The bucket is away.</pre>" in shown


def test_who_may_not_make_backups_is_shown_no_form_for_it(browser_of: Callable[..., Client]) -> None:
    assert 'action="/admin/backups/new/"' not in read(browser_of("backup viewer"))
    shown = read(browser_of("backup operator"))
    assert ('action="/admin/backups/new/"' in shown, f'maxlength="{keys.MAX_DESCRIPTION}"' in shown) == (True, True)


# What one may do.


@pytest.mark.parametrize(
    ("group", "controls"),
    [
        ("backup viewer", []),
        ("backup operator", ["Back up now"]),
        ("backup administrator", ["Restore…", "Back up now"]),
    ],
)
def test_only_what_one_may_do_is_offered(browser_of: Callable[..., Client], group: str, controls: list[str]) -> None:
    verified(made(site()))
    shown = read(browser_of(group))
    assert [control for control in ("Restore…", "Back up now") if f">{control}</a>" in shown] == controls


# What needs somebody.


def test_an_incident_is_told_with_what_was_seen_and_the_command_to_copy(page: Callable[..., str]) -> None:
    row = made(site())
    incident("verification-failed", row.filename, detail="SHA-256 differs", hint=f"Look once more: icb db verify {row.filename}")
    shown = page()
    assert f"<h3>Bad backup: {row.filename}</h3>" in shown
    assert '<pre class="said">SHA-256 differs</pre>' in shown
    assert f'<p>Look once more:</p><div class="cmd"><code>icb db verify {row.filename}</code>' in shown
    assert "Nobody has been told." in shown
    assert f'href="/admin/backups/{row.id}/"' in shown


def test_an_incident_that_the_history_answers_better_is_told_once_and_only_while_it_is_so(page: Callable[..., str]) -> None:
    incident("newest-backup", site(), told_at=timezone.now())
    verified(made(site(), hours_ago=40), hours_ago=39)
    assert page().count(f"Newest backup of {site()} bad or too old") == 1
    verified(made(site(), hours_ago=0.2), hours_ago=0.1)
    assert "bad or too old" not in page()


def test_words_of_others_stay_words(page: Callable[..., str], browser: Client) -> None:
    made(site(), status="failed", error_message="<script>alert(1)</script>", description="<b>")
    assert "<script>alert" not in browser.get(OVERVIEW).content.decode()


def test_that_nobody_is_told_is_told(page: Callable[..., str], backups_settings: Settings) -> None:
    made(site())
    assert "Nobody is told" in page()
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_EMAILS": ["ops@shop.example"]}
    shown = page()
    assert "Nobody is told" not in shown
    assert "ops@shop.example" not in shown


# What runs.


def heard(*, minutes_ago: float = 0) -> dict[str, str]:
    return {"at": (timezone.now() - timedelta(minutes=minutes_ago)).isoformat()}


def dumped(percent: int) -> dict[str, object]:
    return {"phase": "dumping", "done_bytes": percent, "total_bytes": 100}


def test_what_runs_is_shown_with_how_far_it_is_and_asked_for_each_second(page: Callable[..., str]) -> None:
    made(site(), hours_ago=2)
    progress = {"phase": "dumping", "done_bytes": 650, "total_bytes": 1000, "rate": 10, "table": "public.orders", **heard()}
    made(site(), hours_ago=1, status="running", description="before reindex", progress=progress)
    for shown in (page(), page(RUNNING, **BY_HTMX)):
        assert 'hx-trigger="every 1s"' in shown
        assert '<progress max="100" value="65" aria-label="before reindex">' in shown
        assert re.search(r"<b>65%</b> of 1,000 B, 10 B/s, about 32 min( \d+ s)? left", shown)  # of an hour, 65% are done
        assert 'Dumping <span class="key">public.orders</span>' in shown


def test_a_run_from_which_nothing_comes_is_told_without_rate_or_time_left(page: Callable[..., str]) -> None:
    progress = {"phase": "dumping", "done_bytes": 650, "total_bytes": 1000, "rate": 10, **heard(minutes_ago=2)}
    made(site(), hours_ago=1, status="running", progress=progress)
    shown = page(RUNNING, **BY_HTMX)
    assert "Nothing was heard of it for 2 min" in shown
    assert ("10 B/s" in shown, " left" in shown) == (False, False)


def test_what_waits_says_so(page: Callable[..., str]) -> None:
    made(site(), hours_ago=0, status="pending", started_at=None)
    assert "Waits for a worker" in page(RUNNING, **BY_HTMX)


def test_where_nothing_runs_it_asks_less_often(page: Callable[..., str]) -> None:
    shown = page(RUNNING, **BY_HTMX)
    assert "Nothing is running." in shown
    assert 'hx-trigger="every 10s"' in shown


def test_when_something_has_ended_the_page_is_told_to_read_itself_again(browser: Client) -> None:
    assert browser.get(f"{RUNNING}?was=1", headers=BY_HTMX)["HX-Trigger"] == "backups-ended"
    assert "HX-Trigger" not in browser.get(f"{RUNNING}?was=0", headers=BY_HTMX)
    assert "HX-Trigger" not in browser.get(f"{RUNNING}?was=many", headers=BY_HTMX)


def test_a_screen_reader_hears_of_progress_by_quarters(page: Callable[..., str]) -> None:
    row = made(site(), hours_ago=0, status="running", description="long", progress=dumped(30))
    spoken = 'role="status" hx-swap-oob="innerHTML">long: 25%.</p>'
    assert spoken in page(RUNNING, **BY_HTMX)
    BackupHistory.objects.filter(pk=row.pk).update(progress=dumped(49))
    assert spoken not in page(f"{RUNNING}?was=1&said=long%3A+25%25.", **BY_HTMX)


def test_the_live_part_is_no_page_of_its_own(browser: Client) -> None:
    answer = browser.get(RUNNING)
    assert (answer.status_code, answer["Location"]) == (302, OVERVIEW)


# What comes next.


def test_what_comes_next_is_told_in_words_and_on_the_clock(page: Callable[..., str]) -> None:
    made(site())
    scheduled("verify", "Verification", last_run_at=timezone.now() - timedelta(hours=5))
    scheduled("sync", "Sync", enabled=False)
    shown = page()
    assert "<span>Verification<small>every 6 h</small></span>" in shown
    assert re.search(r'<span class="num">in (1 h|59 min)<small><time ', shown)
    assert "Sync<small>" not in shown


def test_a_prune_without_a_policy_is_told_to_delete_nothing(page: Callable[..., str]) -> None:
    scheduled("prune", "Prune")
    assert "Prune<small>no retention policy is set, so nothing is deleted</small>" in page()


def test_a_scheduled_backup_gives_its_limit_to_what_may_be_lost(page: Callable[..., str]) -> None:
    scheduled("scheduled_backup", "Each 6 hours")
    verified(made(site(), hours_ago=0.1), hours_ago=0)
    (limit,) = re.findall(r"limit (\d) h", page())
    assert 1 <= int(limit) <= 7


# What was.


def test_the_six_newest_backups_are_listed_with_status_and_proof(page: Callable[..., str]) -> None:
    for hours in range(1, 9):
        made(site(), hours_ago=hours, description=f"number {hours}")
    shown = page()
    assert [f">number {hours}</a>" in shown for hours in (1, 6, 7)] == [True, True, False]
    assert "All 8 backups" in shown
    assert "Never verified</span>" in shown


def test_a_day_is_that_of_the_viewers_clock(browser: Client) -> None:
    at = timezone.now().replace(hour=23, minute=30, second=0, microsecond=0) - timedelta(days=9)
    made(site(), created_at=at, started_at=at)
    for zone, day in (("UTC", at), ("Asia/Tokyo", at + timedelta(days=1))):
        browser.cookies["backups_zone"] = zone
        assert f"<title>{day:%A} {day.day} {day:%B}: succeeded, not verified</title>" in read(browser)


def test_the_largest_movers_are_those_between_the_two_newest(page: Callable[..., str]) -> None:
    for hours, count in ((30, 100), (20, 21480), (10, 13318)):
        table = {"schema": "public", "table": "coupons", "rows": count, "bytes": 1}
        made(site(), hours_ago=hours, table_snapshot={"tables": [table], "total": {"tables": 1, "rows": count, "bytes": 1}})
    shown = page()
    assert '<th scope="row" class="key">public.coupons</th>' in shown
    assert re.findall(r'<td class="num fell">(.*?)</td>', shown) == [f"{MINUS}8,162", f"{MINUS}38.0%"]


# However long the history is.


def test_the_history_is_asked_as_often_however_long_it_is(browser: Client) -> None:
    def queries(number: int) -> int:
        for place in range(number):
            verified(made(site(), hours_ago=20 * place + 1))
            made(site(), hours_ago=20 * place, status="failed", filename=f"{uuid4()}.dump")
        with CaptureQueriesContext(connection) as asked:
            read(browser)
            return len(asked)

    assert queries(2) == queries(60)


def test_only_two_snapshots_are_read(browser: Client) -> None:
    for hours in range(5):
        made(site(), hours_ago=hours)
    with CaptureQueriesContext(connection) as asked:
        read(browser)
        reading = [query["sql"] for query in asked if re.search(r'SELECT .*"table_snapshot".* FROM', query["sql"])]
    assert len(reading) == 1
    assert "LIMIT 2" in reading[0]


def test_the_counts_of_ninety_days_tell_a_run_that_failed_from_a_backup_that_was_found_bad_as_health_does(
    page: Callable[..., str],
) -> None:
    made(site(), hours_ago=1.5, duration_seconds=90)
    made(site(), hours_ago=1, duration_seconds=30, bad_at=timezone.now())
    made(site(), hours_ago=0.5, status="cancelled")
    shown = page()
    counts = dict(re.findall(r"<dt>(Runs|Failed|Found bad)</dt><dd>(.*?)</dd>", shown))
    assert counts == {"Runs": "2", "Failed": "0", "Found bad": "1"}
    rate = next(check for check in report() if check.id == "success-rate")
    assert rate.text == "2 of 2 runs in 30 days succeeded"
    assert "30 s the last time" in shown
