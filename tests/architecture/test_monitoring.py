"""The dashboard and the alerts of `deploy/` ask for metrics that the API tells."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from jobs.endings import REASONS
from jobs.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "stillhouse.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
(GROUP,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
ASKED = {
    **{
        f"{title} {target['refId']}": target["expr"]
        for title, panel in PANELS.items()
        for target in panel["targets"]
    },
    **{rule["alert"]: rule["expr"] for rule in GROUP["rules"]},
}
GRAFANAS = {"$__rate_interval": "5m", '"$job"': '".*"'}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Give the names of all samples and, of histograms without any yet, those that will come."""
    settings = Settings(data=tmp_path_factory.mktemp("data"))
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        text = client.get("/metrics").text
    names: set[str] = set()
    for family in text_string_to_metric_families(text):
        names |= {family.name, *(sample.name for sample in family.samples)}
        if family.type == "counter":
            names.add(f"{family.name}_total")
        if family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


@pytest.mark.parametrize("place", ASKED)
def test_what_is_asked_is_promql_about_metrics_that_are_told(place: str, told: set[str]) -> None:
    expression = ASKED[place]
    for grafanas, prometheus in GRAFANAS.items():
        expression = expression.replace(grafanas, prometheus)
    promql_parser.parse(expression)
    named = set(re.findall(r"\b(?:stillhouse|process)_[a-z_]+", expression))
    assert named
    assert named <= told


def test_reasons_of_alerts_are_reasons_of_attempts() -> None:
    asked = {
        reason
        for expression in ASKED.values()
        for found in re.findall(r'reason=~"([^"]+)"', expression)
        for reason in found.split("|")
    }
    assert asked
    assert asked <= set(REASONS)


def test_no_panel_lies_on_another_and_each_has_an_id_of_its_own() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    assert all(place["x"] + place["w"] <= 24 for place in places)


def test_every_alert_says_what_it_is_and_how_urgent() -> None:
    for rule in GROUP["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}
