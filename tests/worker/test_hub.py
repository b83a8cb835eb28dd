"""Files of the hub: fetched once, at a commit, verified each time, and given up where in vain."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, running_hub

from jobs.hub import hub_files
from jobs.input_errors import HubRefused, HubUnreachable
from jobs.inputs import Used
from jobs.settings import Settings
from jobs.stores import open_store
from worker.furnishing import furnished
from worker.verifying import InVain

FOLDER = f"uploads/hub/owner/net/{COMMIT}"
FILES = {"config.json": b"{}", "model.safetensors": b"numbers" * 99}
USED = hub_files({"teacher": {"model": {"name": "huggingface", "path": FOLDER}}})


@pytest.fixture
def hub() -> Generator[Hub]:
    with running_hub() as running:
        running.add("owner/net", config_json=b"{}", model_safetensors=FILES["model.safetensors"])
        yield running


@pytest.fixture
def settings(tmp_path: Path, hub: Hub) -> Settings:
    return Settings(data=tmp_path / "data", hub_url=hub.url)


def laid(settings: Settings, used: list[Used], in_vain: bool = False) -> dict[str, bytes]:
    workdir = settings.data / "work"
    workdir.mkdir(parents=True, exist_ok=True)
    store = open_store(settings)
    with furnished(used, workdir, settings, store, lambda: in_vain) as inputs:
        return {path.name: path.read_bytes() for path in (inputs / FOLDER).glob("*.*")}


def test_a_repository_is_fetched_once_and_verified_each_time(settings: Settings, hub: Hub) -> None:
    assert laid(settings, USED) == FILES
    assert sorted(hub.gets()) == sorted(FILES)
    assert laid(settings, USED) == FILES
    assert len(hub.gets()) == 2, "from the cache"
    for kept in settings.input_cache.iterdir():
        if kept.is_file():
            kept.write_bytes(b"rotten")
    assert laid(settings, USED) == FILES
    assert len(hub.gets()) == 4
    assert {token for _, _, token in hub.asked} == {None}


@pytest.mark.parametrize(
    ("repository", "commit", "says"),
    [("owner/other", COMMIT, "404"), ("owner/net", "f" * 40, "no such file|404")],
)
def test_what_the_hub_has_not_is_refused(
    settings: Settings, repository: str, commit: str, says: str
) -> None:
    used = hub_files([f"uploads/hub/{repository}/{commit}"])
    with pytest.raises(HubRefused, match=says):
        laid(settings, used)


def test_a_shut_door_is_opened_by_the_operators_token(settings: Settings, hub: Hub) -> None:
    hub.token = "hf_secret"  # noqa: S105  # of this test
    with pytest.raises(HubRefused, match=r"401|gated|Access"):
        laid(settings, USED)
    opened = Settings(data=settings.data, hub_url=hub.url, hub_token="hf_secret")  # noqa: S106  # as above
    assert laid(opened, USED) == FILES


def test_a_file_that_is_too_large_is_not_fetched(settings: Settings, hub: Hub) -> None:
    hub.add("owner/net", model_safetensors=b"x" * 5000)
    small = Settings(data=settings.data, hub_url=hub.url, upload_bytes=2048)
    with pytest.raises(HubRefused, match="5000 bytes; expected at most 2048"):
        laid(small, USED)
    assert hub.gets() == ["config.json"]


def test_a_hub_that_is_away_is_told_and_one_that_hangs_is_given_up(
    settings: Settings, hub: Hub
) -> None:
    away = Settings(data=settings.data, hub_url="http://127.0.0.1:9")
    with pytest.raises(HubUnreachable, match=r"owner/net@.*config\.json of the hub"):
        laid(away, USED)
    with pytest.raises(InVain):
        laid(settings, USED, in_vain=True)
    slow = Settings(data=settings.data, hub_url=hub.url, hub_seconds=0.01)
    with pytest.raises(HubUnreachable, match="took too long"):
        laid(slow, USED)


def test_a_house_that_is_off_the_hub_asks_it_for_nothing(
    settings: Settings, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_HUB_URL", "off")
    with pytest.raises(HubRefused, match="fetches nothing"):
        laid(Settings(data=settings.data), USED)
    assert hub.gets() == []
