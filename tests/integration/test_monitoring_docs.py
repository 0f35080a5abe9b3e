"""The alerts and the dashboard of docs/ speak of what /metrics gives, and of nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from backups.metrics import registry
from ichrisbirch_site.embedded import PROJECT

ALERTS = PROJECT / "docs" / "prometheus-alerts.yml"
DASHBOARD = PROJECT / "docs" / "grafana-dashboard.json"
NAME = re.compile(r"\bbackups_[a-z_]+")

# A backup of a day and three hours ago; a scheduler that is silent.
STORY = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'backups_newest_timestamp_seconds{{database="shop"}}', values: '0x1800'}}
      - {{series: 'backups_heartbeat_timestamp_seconds{{name="scheduler"}}', values: '60+60x1000 60000x800'}}
      - {{series: 'backups_stored_bytes{{database="shop",instance="i",job="j"}}', values: '60x1800'}}
      - {{series: 'backups_stored_bytes{{database="wiki",instance="i",job="j"}}', values: '35x1800'}}
      - {{series: 'backups_bucket_limit_bytes{{instance="i",job="j"}}', values: '100x1800'}}
    alert_rule_test:
      - {{eval_time: 25h, alertname: BackupTooOld, exp_alerts: []}}
      - eval_time: 27h
        alertname: BackupTooOld
        exp_alerts:
          - exp_labels: {{severity: critical, database: shop}}
            exp_annotations:
              summary: The newest backup of shop is 1d 3h 0m 0s old.
              description: icb db health tells why. To make one now, type icb db backup now.
      - {{eval_time: 16h, alertname: BackupSchedulerSilent, exp_alerts: []}}
      - eval_time: 17h
        alertname: BackupSchedulerSilent
        exp_alerts:
          - exp_labels: {{severity: critical, name: scheduler}}
            exp_annotations:
              summary: The scheduler was last alive 20m 0s ago, so no backup begins by itself.
              description: icb up
      - eval_time: 2h
        alertname: BackupBucketNearlyFull
        exp_alerts:
          - exp_labels: {{severity: warning, instance: i, job: j}}
            exp_annotations:
              summary: The backups have 95B, which is nearly what the bucket may hold.
              description: icb db prune --dry-run
"""


def given() -> set[str]:
    """The names of all metrics, as they are in an expression."""
    return {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry().collect()}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@pytest.mark.usefixtures("history")
def test_every_metric_of_the_alerts_is_one_that_is_given() -> None:
    named = {name for rule in rules() for name in NAME.findall(rule["expr"])}
    assert all(NAME.search(rule["expr"]) for rule in rules())
    assert named - given() == set()


@pytest.mark.usefixtures("history")
def test_every_metric_of_the_dashboard_is_one_that_is_given() -> None:
    document = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in document["panels"] for target in panel["targets"]]
    assert {name for text in expressions for name in NAME.findall(text)} - given() == set()
    assert all(NAME.search(text) for text in expressions)
    assert NAME.findall(document["templating"]["list"][1]["query"]) == ["backups_kept"]


@pytest.mark.usefixtures("history")
def test_every_metric_is_documented() -> None:
    text = (PROJECT / "docs" / "health.md").read_text()
    documented = {f"backups_{name}" for name in re.findall(r"`(?:backups_)?([a-z_]+)`", text)}
    assert given() - documented == set()


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert all(text.endswith((".", "?")) or text.startswith("icb") for text in rule["annotations"].values())
    wanted = {"BackupTooOld", "BackupNotVerified", "BackupFailing", "BackupSchedulerSilent", "BackupWorkerSilent"}
    assert wanted | {"BackupBucketNearlyFull", "BackupUnknownObjects"} <= set(names)


def test_the_dashboard_s_panels_have_their_place_and_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _y in places) < 24


def test_prometheus_s_own_tool_accepts_the_alerts_and_sees_them_fire(tmp_path: Path) -> None:
    """Where promtool is installed; the shape of each rule is looked at above in any case."""
    story = tmp_path / "story.yml"
    story.write_text(STORY.format(rules=ALERTS))
    assert yaml.safe_load(story.read_text())["rule_files"] == [str(ALERTS)]
    if promtool := shutil.which("promtool"):
        for words in (["check", "rules", str(ALERTS)], ["test", "rules", str(story)]):
            done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
