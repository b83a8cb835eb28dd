"""docker-compose.yml says of every service what keeps it in its place."""

from __future__ import annotations

import re

import pytest
import yaml
from compose_host import COMPOSE, OURS, ROOT, SECRETS, TEXT


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_is_locked_down(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - the container's
    assert service["cap_drop"] == ["ALL"]
    assert not service.keys() & {"cap_add", "privileged", "devices", "pid", "network_mode"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name in OURS:
        image = (ROOT / service["build"]["dockerfile"]).read_text()
        user = re.findall(r"^USER (\d+):\d+$", image, re.MULTILINE)[-1]
    else:
        user = service["user"]
    assert user not in {"root", "0"}
    # A migration that has ended is its own proof.
    assert ("healthcheck" in service) is (name != "migrate")


def test_passwords_are_files_and_nothing_else() -> None:
    made = COMPOSE["secrets"]
    assert all(one == {"file": f"secrets/{name}"} for name, one in made.items())
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    for name, service in COMPOSE["services"].items():
        told = service.get("environment", {})
        files = {value for key, value in told.items() if key.endswith("_FILE")}
        assert files <= {f"{SECRETS}/{secret}" for secret in service.get("secrets", [])}, name
        words = ("PASSWORD", "TOKEN", "SECRET")
        assert [key for key in told if any(word in key for word in words)] == [
            key for key in told if key.endswith("_FILE")
        ], name


def test_the_line_that_lets_workers_out_names_networks_of_the_file() -> None:
    (line,) = re.findall(r"# +(services: \{worker: .*)", TEXT)
    added = yaml.safe_load(line)["services"]["worker"]["networks"]
    assert set(added) <= set(COMPOSE["networks"])
    assert not set(added) & set(OURS["worker"]["networks"])
    assert not any((COMPOSE["networks"][name] or {}).get("internal") for name in added)


def test_every_service_of_ours_waits_for_the_schema() -> None:
    for name, service in OURS.items():
        assert service["init"] is True, name
        waits_for = service["depends_on"]
        if name != "migrate":
            assert waits_for["migrate"]["condition"] == "service_completed_successfully", name
    for name in ("worker", "worker-gpu"):
        assert OURS[name]["stop_grace_period"] == "120s"


def test_only_the_api_is_published_and_only_on_the_loopback() -> None:
    published = {name: service.get("ports") for name, service in COMPOSE["services"].items()}
    assert {name for name, ports in published.items() if ports} == {"api"}
    assert published["api"] == ["${STILLHOUSE_PUBLISH:-127.0.0.1:8000}:8000"]


def test_the_head_of_the_file_and_the_page_say_the_same() -> None:
    head = [line[2:].strip() for line in TEXT.splitlines() if line.startswith("#   ")]
    page = (ROOT / "docs" / "operating.md").read_text().splitlines()
    said = [line for line in head if "secrets" in line or "make_key" in line]
    assert len(said) == 3
    assert set(said) <= set(page)
