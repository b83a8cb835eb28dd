"""webhooks from the command line, and a receiver as the documentation has it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hook_server import Got, Hook, answering, running_hook
from stand import ROOT, SPEC, Said, Server, Worker, environment, free_port, run_cli, worker_on
from stillhouse import Client
from waiting import wait_until

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
RECEIVER, *_ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def near_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may send messages to this machine."""
    allowed = {"STILLHOUSE_WEBHOOK_ALLOW": "127.0.0.1"}
    running = Server(tmp_path_factory.mktemp("near"), variables=allowed)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def near_worker(near_server: Server) -> Iterator[Worker]:
    playing = worker_on(near_server.data)
    yield playing
    playing.database.close()


def test_a_webhook_is_made_tested_rotated_and_deleted(near_server: Server) -> None:
    def run(*arguments: str) -> Said:
        return run_cli("webhooks", *arguments, url=near_server.url)

    with running_hook() as hook:
        wanted = ("--event", "job.failed", "--label", "team=a", "--description", "ci")
        made = run("create", hook.url, *wanted)
        secret = made.out.strip()
        assert secret.startswith("whsec_"), made.err
        assert "shown once" in made.err
        (one,) = run("list", "--json").json
        assert (one["events"], one["labels"], one["description"]) == (
            ["job.failed"],
            {"team": "a"},
            "ci",
        )
        assert secret not in run("list").out + run("show", one["id"]).out
        sent = run("test", one["id"])
        assert (sent.code, "delivered: answered 204" in sent.out) == (0, True), sent.err
        hook.answer = answering(500)
        failed = run("test", one["id"])
        assert (failed.code, "answered 500" in failed.out) == (1, True), failed.err
        hook.answer = answering(200)
        listed = run("deliveries", one["id"], "--json").json["data"]
        assert [row["status"] for row in listed] == ["pending", "delivered"]
        assert run("redeliver", one["id"], listed[0]["id"]).code == 0
        assert "webhook.test" in run("deliveries", one["id"]).out
        renewed = run("rotate", one["id"], "--overlap", "60").out.strip()
        got = _waited_for(hook, 3)
        assert got.verified(secret)["type"] == "webhook.test"
        assert renewed != secret
    changed = run("change", one["id"], "--disable", "--event", "job.queued", "--json").json
    assert (changed["enabled"], changed["events"]) == (False, ["job.queued"])
    assert "disabled (asked)" in run("show", one["id"]).out
    assert run("test", one["id"]).code == 1
    refused = run("create", "https://10.0.0.1/")
    assert (refused.code, "private network" in refused.err) == (2, True)
    assert run("delete", one["id"]).code == 2
    assert run("delete", one["id"], "--yes").out == f"{one['id']} deleted\n"
    assert run("show", one["id"]).code == 2


def _waited_for(hook: Hook, count: int) -> Got:
    wait_until(lambda: len(hook.got) >= count)
    return hook.got[count - 1]


@pytest.mark.slow
def test_the_receiver_of_the_documentation_hears_of_a_job(
    near_server: Server, near_worker: Worker, tmp_path: Path
) -> None:
    port = free_port()
    with Client(near_server.url) as client:
        webhook = client.webhooks.create(f"http://127.0.0.1:{port}/")
        heard = tmp_path / "heard"
        variables = environment(WEBHOOK_SECRET=webhook["secret"], PORT=str(port))
        with heard.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", RECEIVER], env=variables, stdout=out, stderr=out
            )
        try:
            job = client.submit(SPEC)
            near_worker.succeed(near_worker.take(job["id"]))
            wait_until(lambda: "\n" in heard.read_text() or process.poll() is not None)
        finally:
            process.kill()
            process.wait()
        client.webhooks.delete(webhook["id"])
    first = heard.read_text().splitlines()[0]
    assert first == f"job.succeeded {job['id']} distillation made the student better"
