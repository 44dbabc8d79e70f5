"""The dashboard for Grafana asks for nothing that the server does not tell."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from fakes import fake_engines
from live import ROOT
from talkover.app import create_app
from talkover.config import Settings
from talkover.metrics import Metrics

FOLDER = ROOT / "configs" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "talkover.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
SELECTOR = re.compile(r"\b((?:talkover|process|python)_\w+)\{([^}]*)\}")


def told() -> dict[str, set[str]]:
    """Name of a series -> its labels, of a server to which everything countable has happened once."""
    metrics = Metrics(16)
    for value in vars(metrics).values():
        if names := getattr(value, "_labelnames", ()):
            child = value.labels(*names)
            child.observe(1) if hasattr(child, "observe") else child.inc()
    metrics.watch_states(lambda: {"listening": 1})
    metrics.watch_queues("a", lambda: {"sender": 1})
    page, _ = metrics.render()
    series: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series


def test_every_metric_and_label_it_queries_is_on_the_page() -> None:
    series = told()
    assert len(QUERIES) > 30
    for query in QUERIES:
        found = SELECTOR.findall(query)
        assert found, f"{query} selects nothing"
        for name, selector in found:
            assert name in series, f"{query}: the server does not tell {name}"
            asked = set(re.findall(r"(\w+)(?:=~|!=|=)", selector)) - {"instance"}
            for grouped in re.findall(r"by \(([^)]*)\)", query):
                asked |= {label.strip() for label in grouped.split(",")} - {"instance"}
            assert asked <= series[name], f"{query}: {name} has the labels {series[name]}"


def test_everything_the_server_counts_is_shown() -> None:
    shown = {name for query in QUERIES for name, _ in SELECTOR.findall(query)}
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in shown}
    own = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in told() if name.startswith("talkover_")}
    assert own <= families


def test_a_server_that_has_just_started_names_them_all() -> None:
    app = create_app(Settings(), fake_engines(), {})
    page = app.state.metrics.render()[0].decode()
    named = {family.name for family in text_string_to_metric_families(page)}
    for query in QUERIES:
        for name, _ in SELECTOR.findall(query):
            assert {name, re.sub(r"_(total|bucket|sum|count)$", "", name)} & named, name


def test_grafana_can_import_it() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert {"title", "uid", "templating", "time", "panels"} <= set(DASHBOARD)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS))) - {"__rate_interval"} <= variables
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for panel in PANELS:
        assert panel["type"] in ("stat", "timeseries")
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in ("short", "s", "bytes")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(
            target["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for target in panel["targets"]
        )
        for query in (target["expr"] for target in panel["targets"]):
            assert query.count("(") == query.count(")")


def test_panels_do_not_lie_on_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_the_example_scrapes_the_port_of_the_default_configuration() -> None:
    scrape = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = scrape["scrape_configs"]
    server = Settings().server
    assert job["static_configs"] == [{"targets": [f"{server.host}:{server.port}"]}]
    assert "metrics_path" not in job  # /metrics is Prometheus' default
