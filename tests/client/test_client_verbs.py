"""The verbs of jobs, as calls and as commands."""

from __future__ import annotations

import pytest
from stand import SPEC, Cli, Worker
from stillhouse import Client

from jobs.endings import PAUSED, Ending
from jobs.leases import Claim
from jobs.repository import Repository


def let_go(worker: Worker, claim: Claim) -> None:
    """End an attempt as a worker does that has heard of a pause."""
    with worker.database.write() as session:
        Repository(session).release(
            claim.job_id, claim.attempt, Ending(PAUSED), counted=False, retry_seconds=0
        )


def test_pause_and_resume_as_commands(cli: Cli, client: Client, worker: Worker) -> None:
    job_id = client.submit(SPEC)["id"]
    assert cli("pause", job_id).out == f"{job_id} paused\n"
    assert cli("wait", job_id).code == 75
    assert cli("resume", job_id, "--json").json["status"] == "queued"
    claim = worker.take(job_id)
    assert cli("pause", job_id).out == f"{job_id} pausing\n"
    let_go(worker, claim)
    watched = cli("watch", job_id)
    assert watched.code == 75
    assert "pause requested" in watched.err
    assert "it will be taken up again" not in watched.err
    assert f"resume {job_id}" in watched.err
    assert client.attempts(job_id)[0]["status"] == "paused"
    client.resume(job_id)
    worker.succeed(worker.take(job_id))
    done = cli("watch", job_id)
    assert done.code == 0, "an old pause does not end a watch"
    refused = cli("pause", job_id)
    assert refused.code == 1
    assert "legal now: clone, delete" in refused.err


def test_clone_as_a_command(cli: Cli, client: Client) -> None:
    source = client.submit({**SPEC, "seeds": [0, 1], "labels": {"a": "b"}})["id"]
    changes = ["seeds.1=7", "training.max_steps=9", "labels=null", "method=dkd"]
    said = cli("clone", source, *(word for change in changes for word in ("--set", change)))
    assert said.code == 0, said.err
    made = client.get(said.out.strip())
    assert (made["cloned_from"], made["status"]) == (source, "queued")
    expected = {**SPEC, "seeds": [0, 7], "training": {"max_steps": 9}, "method": "dkd"}
    assert made["spec"] == expected
    assert source in cli("show", made["id"]).out
    key = ("clone", source, "--idempotency-key", "c-1", "--json")
    assert cli(*key).json["id"] == cli(*key).json["id"]
    bad = cli("clone", source, "--set", "training.max_steps=-1")
    assert (bad.code, bad.out) == (2, "")
    assert "/training/max_steps" in bad.err


def test_label_as_a_command(cli: Cli, client: Client) -> None:
    job_id = client.submit({**SPEC, "labels": {"team": "a", "old": "x"}})["id"]
    said = cli("label", job_id, "team=b", "old-", "note=a=b", "--name", "new", "--priority", "7")
    assert said.out == f"{job_id} team=b note=a=b\n"
    job = client.get(job_id)
    assert (job["name"], job["priority"]) == ("new", 7)
    assert job["labels"] == {"team": "b", "note": "a=b"}
    assert cli("label", job_id, "--name", "", "--json").json["name"] is None
    for wrong in (["team"], [], ["a b=x"], ["--priority", "101"]):
        refused = cli("label", job_id, *wrong)
        assert (refused.code, refused.out) == (2, ""), wrong


def test_delete_as_a_command(cli: Cli, client: Client, worker: Worker) -> None:
    job_id = client.submit(SPEC)["id"]
    unasked = cli("delete", job_id)
    assert unasked.code == 2
    assert "--yes" in unasked.err
    worker.take(job_id)
    running = cli("delete", job_id, "--yes")
    assert running.code == 1
    assert "legal now: cancel, pause, clone" in running.err
    client.cancel(job_id, mode="now")
    with worker.database.write() as session:
        Repository(session).release(job_id, 1, Ending("lost"), counted=True, retry_seconds=0)
    assert cli("delete", job_id, "--yes").out == f"{job_id} deleted\n"
    assert cli("delete", job_id, "--yes", "--json").json == {"id": job_id, "deleted": True}
    gone = cli("show", job_id)
    assert gone.code == 2
    assert "was deleted" in gone.err


def test_a_retry_with_more_time(cli: Cli, client: Client, worker: Worker) -> None:
    job_id = client.submit({**SPEC, "max_runtime_seconds": 60})["id"]
    worker.fail(worker.take(job_id))
    again = cli("retry", job_id, "--max-runtime", "600", "--json").json
    assert (again["status"], again["max_runtime_seconds"]) == ("queued", 600)


@pytest.mark.parametrize("verb", ["pause", "resume", "clone", "delete", "label"])
def test_every_verb_explains_itself(cli: Cli, verb: str) -> None:
    said = cli(verb, "--help")
    assert said.code == 0
    assert "--json" in said.out
    assert "JOB" in said.out
    assert verb in cli("--help").out
