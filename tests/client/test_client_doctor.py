"""doctor: what is wrong, where, and the way out; exit code 1 where anything is red."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from stand import Cli, Server, Worker, free_port, run_cli
from stillhouse import Client
from stillhouse import doctor as looks
from stillhouse.operation_bodies import Pulse

from jobs.repository import Repository

ABOUT = {
    "version": "0.1.0",
    "python": "3.12.1",
    "packages": {"torch": "2.13.0+cpu", "onnx": "1.23.2"},
    "gpus": ["NVIDIA H100"],
    "cores": 8,
    "free_bytes": 1 << 40,
}


def levels(document: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in document["findings"]:
        found.setdefault(finding["check"], []).append(finding["level"])
    return found


def greet(worker: Worker, name: str, about: dict[str, Any] | None) -> None:
    with worker.database.write() as session:
        Repository(session).greet(name, 2, about)


def part(worker: Worker, name: str) -> None:
    with worker.database.write() as session:
        Repository(session).part(name)


def test_a_house_in_order_is_told_whole(own_server: Server, own_worker: Worker) -> None:
    greet(own_worker, "w-1", ABOUT)
    said = run_cli("doctor", "--json", url=own_server.url, STILLHOUSE_DATA=str(own_server.data))
    assert said.code == 0, said.out
    found = levels(said.json)
    checks = {"client", "data folder here", "server", "versions", "clocks", "workers", "worker"}
    assert checks | {"database", "store", "data", "sweeper"} <= set(found)
    assert said.json["ok"] is True
    assert {level for each in found.values() for level in each} == {"ok"}
    assert "NVIDIA H100" in said.out
    shown = run_cli("doctor", url=own_server.url)
    assert (shown.code, "w-1: 8 cores" in shown.out) == (0, True)


def test_what_is_red_is_told_with_the_way_out(own_server: Server, own_worker: Worker) -> None:
    shutil.rmtree(own_server.data / "artifacts")
    old = {**ABOUT, "version": "0.0.9", "packages": {"torch": "2.5.1", "onnx": None}}
    greet(own_worker, "w-old", old)
    greet(own_worker, "w-silent", None)
    said = run_cli("doctor", "--json", url=own_server.url)
    assert said.code == 1
    found = levels(said.json)
    assert found["store"] == ["red"]
    assert sorted(set(found["worker"])) == ["ok", "red", "warning"]
    reds = [one for one in said.json["findings"] if one["level"] == "red"]
    assert all(one["way_out"] for one in reds)
    assert any("torch 2.5.1, expected 2.10" in one["found"] for one in reds)


def test_a_house_without_workers_is_red(own_server: Server) -> None:
    said = run_cli("doctor", url=own_server.url)
    assert said.code == 1
    assert "no worker is there" in said.out
    assert "python -m worker" in said.out


def test_nobody_there_is_a_finding_and_no_trace() -> None:
    said = run_cli("doctor", "--json", url=f"http://127.0.0.1:{free_port()}")
    assert (said.code, said.json["ok"]) == (1, False)
    assert "Traceback" not in said.err
    assert "stillhouse up" in said.out


def test_it_works_with_the_client_alone(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(looks, "_version", {"stillhouse": "0.1.0"}.get)
    found = {finding.check for finding in looks.examine(client)}
    assert "packages here" not in found
    assert {"client", "server", "database"} <= found


@pytest.mark.parametrize(("ahead", "level"), [(0.4, "ok"), (-90.0, "warning"), (400.0, "warning")])
def test_clocks_that_differ_are_told(ahead: float, level: str) -> None:
    (finding,) = looks._same_time(Pulse("0.1.0", ahead))
    assert finding.level == level


def test_another_version_is_told() -> None:
    (finding,) = looks._same_version(Pulse("99.0.0", None))
    assert finding.level == "warning"
    assert "99.0.0" in str(finding.way_out)


def test_a_folder_that_is_nearly_full_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "ROOM_BYTES", 1 << 60)
    assert looks._of_folder(tmp_path).level == "warning"


def test_logs_are_told_as_text_and_as_json(
    cli: Cli, client: Client, worker: Worker, spec_file: Path
) -> None:
    job_id = cli("submit", str(spec_file)).out.strip()
    assert cli("logs", job_id).out == ""
    claim = worker.take(job_id)
    with worker.database.write() as session:
        Repository(session).keep_log(job_id, claim.attempt, b"one\ntwo\n", 0, b"")
    expected = "--- attempt 1 on worker-of-tests: running ---\none\ntwo\n"
    assert cli("logs", job_id).out == expected
    assert cli("logs", job_id, "--tail", "1").out == "two\n"
    assert cli("logs", job_id, "--attempt", "1", "--json").json == {"job": job_id, "text": expected}
    assert cli("logs", job_id, "--attempt", "2").code == 2
    assert client.operations.logs(job_id, tail=1) == "two\n"
