"""The command line as a shell or a CI job sees it: streams and exit codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stand import SPEC, Cli, Server, Worker, environment, free_port, run_cli
from stillhouse import Client
from stillhouse.commands.submit import EXAMPLES

COMMANDS = [
    ["submit", "{spec}", "--watch"],
    ["watch", "job_1"],
    ["cancel", "job_1"],
    ["download", "job_1"],
    ["methods"],
]
EXIT_CODES = {"passed": 0, "failed": 1, "missed": 3, "cancelled": 4}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_say_69_when_nobody_is_there(command: list[str], spec_file: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [word.format(spec=spec_file) for word in command]
    said = run_cli(*arguments, "--json", "--url", url)
    assert said.code == 69
    assert said.json["error"]["code"] == "Unreachable"
    assert url in said.err
    assert "stillhouse up" in said.err


def test_submit_gives_the_id_alone_and_json_the_job(cli: Cli, spec_file: Path) -> None:
    said = cli("submit", str(spec_file))
    assert said.code == 0
    assert said.out.startswith("job_")
    assert len(said.out.split()) == 1
    job = cli("submit", str(spec_file), "--json", "--set", "labels.env=ci").json
    assert job["status"] == "queued"
    assert job["labels"] == {"env": "ci"}
    assert cli("show", job["id"], "--json").json["spec"]["labels"] == {"env": "ci"}
    assert "No worker is there" in cli("show", job["id"]).err
    listed = cli("list", "--label", "env=ci", "--json").json
    assert [one["id"] for one in listed["data"]] == [job["id"]]


def test_the_same_key_gives_the_same_job(cli: Cli, spec_file: Path) -> None:
    arguments = ("submit", str(spec_file), "--idempotency-key", "run-1")
    assert cli(*arguments).out == cli(*arguments).out


def test_a_spec_may_come_by_standard_input(cli: Cli) -> None:
    said = cli("submit", "-", "--dry-run", "--json", "--set", "seeds=[7]", stdin=json.dumps(SPEC))
    assert said.code == 0
    assert said.json["valid"] is True
    assert said.json["recipe"]["seeds"] == [7]


def test_the_changes_that_the_help_shows_are_accepted(cli: Cli, spec_file: Path) -> None:
    said = cli("submit", "--help")
    shown = re.findall(r"\S+=[\w\[\],]*[\w\]]", said.out.partition("sent:")[2])
    assert shown[:2] == list(EXAMPLES)
    changes = [word for change in EXAMPLES for word in ("--set", change)]
    done = cli("submit", str(spec_file), "--dry-run", "--json", *changes)
    assert done.code == 0, done.err
    assert (done.json["recipe"]["training"]["max_steps"], done.json["recipe"]["seeds"]) == (
        500,
        [0, 1],
    )


def test_a_refused_spec_is_told_field_by_field(cli: Cli, spec_file: Path) -> None:
    bad = ("submit", str(spec_file), "--set", "seeds=[0,-1]", "--set", "traning={}")
    said = cli(*bad)
    assert said.code == 2
    assert said.out == ""
    assert "/seeds/1: " in said.err
    assert "/traning: " in said.err
    assert "did you mean 'training'?" in said.err
    problem = cli(*bad, "--json").json["error"]
    assert problem["status"] == 422
    assert {error["pointer"] for error in problem["errors"]} == {"/seeds/1", "/traning"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "no-such-file.yaml"],
        ["submit"],
        ["nonsense"],
        ["retry", "job_1", "--from", "yesterday"],
        ["show", "job_00000000000000000000000000"],
        ["methods", "no_such_method"],
        ["list", "--status", "tired"],
    ],
    ids=" ".join,
)
def test_wrong_use_says_2(cli: Cli, arguments: list[str]) -> None:
    said = cli(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("ending", EXIT_CODES)
@pytest.mark.parametrize("command", ["wait", "watch"])
def test_the_exit_code_tells_how_the_job_ended(
    cli: Cli, client: Client, worker: Worker, command: str, ending: str
) -> None:
    code = EXIT_CODES[ending]
    job_id = client.submit(SPEC)["id"]
    if ending == "cancelled":
        assert cli("cancel", job_id).out.split() == [job_id, "cancelled"]
    else:
        claim = worker.take(job_id)
        if ending == "failed":
            worker.fail(claim)
        else:
            worker.succeed(claim, passed=ending == "passed")
    said = cli(command, job_id)
    assert said.code == code
    assert said.out == ""
    as_json = cli(command, job_id, "--json")
    assert as_json.code == code
    if command == "wait":
        job = as_json.json
    else:
        *events, job = (json.loads(line) for line in as_json.out.splitlines())
        assert events[0]["type"] == "job.queued"
    assert job["id"] == job_id
    assert job["terminal"] is True
    if ending == "failed":
        assert "nan_loss: the loss is not a number" in said.err
        assert "lower the learning rate" in said.err
    if ending in {"passed", "missed"}:
        assert "BEATS" in said.err
        assert ("NOT MET" in said.err) == (ending == "missed")


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_waiting_gives_up_with_124(cli: Cli, client: Client, command: str) -> None:
    job_id = client.submit(SPEC)["id"]
    said = cli(command, job_id, "--timeout", "1")
    assert said.code == 124
    assert f"stillhouse watch {job_id}" in said.err


def test_a_cancelled_job_can_be_retried(cli: Cli, client: Client) -> None:
    job_id = client.submit(SPEC)["id"]
    cli("cancel", job_id)
    assert cli("retry", job_id).out.split() == [job_id, "queued"]
    assert cli("retry", job_id).code == 0, "the same again, while it is on its way"
    other = cli("retry", job_id, "--from", "scratch", "--json")
    assert other.code == 1
    assert other.json["error"]["status"] == 409


def test_download_and_report(cli: Cli, client: Client, worker: Worker, tmp_path: Path) -> None:
    job_id = client.submit(SPEC)["id"]
    claim = worker.take(job_id)
    worker.deliver(claim, tmp_path, "report.md", b"# The report\n")
    worker.succeed(claim)
    out = tmp_path / "out"
    said = cli("download", job_id, "--out", str(out), "--json")
    assert said.code == 0
    assert [file["path"] for file in said.json["files"]] == [str(out / "report.md")]
    assert (out / "report.md").read_bytes() == b"# The report\n"
    assert cli("report", job_id).out == "# The report\n"
    assert cli("report", job_id, "--json").json["job"] == job_id


def test_an_estimate_is_told(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(SPEC))
    said = cli("estimate", str(file), "--set", "seeds=[0,1]")
    assert said.code == 0
    assert "172 parameters, 320 FLOPs for a sample" in said.out
    assert "no job like it" in said.out
    assert cli("estimate", str(file), "--json").json["steps"] > 0
    refused = cli("estimate", str(file), "--set", "student=nobody", "--json")
    assert (refused.code, refused.json["error"]["status"]) == (2, 422)


def test_methods_are_listed_and_shown(cli: Cli) -> None:
    listed = cli("methods", "--json").json
    assert {"kd", "dkd"} <= {entry["name"] for entry in listed}
    said = cli("methods", "dkd")
    assert said.code == 0
    assert "formula" in said.out
    assert "kd" in cli("methods", "--axis", "objectives").out


def test_control_c_lets_go_of_the_job(server: Server, client: Client, worker: Worker) -> None:
    job_id = client.submit(SPEC)["id"]
    worker.take(job_id)
    with subprocess.Popen(
        [sys.executable, "-m", "stillhouse", "watch", job_id],
        env=environment(STILLHOUSE_URL=server.url),
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stderr is not None
        said = watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        said += watching.stderr.read()
    assert watching.returncode == 130
    assert f"stillhouse watch {job_id}" in said
    assert f"stillhouse cancel {job_id}" in said
    assert client.get(job_id)["status"] == "running"
