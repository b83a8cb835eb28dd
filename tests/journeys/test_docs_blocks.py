"""Commands, programs and specs of the documentation, each against a house in operation."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from docs_blocks import ELSEWHERE, ROOT, Block, run_by
from docs_preludes import BEFORE, FRAMES, IN_PYTHON, INSTEAD, TINY
from hook_server import Hook, running_hook
from PIL import Image
from running import running_house
from safetensors.numpy import save_file
from serving import running
from stillhouse import Client
from waiting import wait_until

from jobs.database import Database, migrate
from jobs.settings import Settings

pytestmark = pytest.mark.slow
BASH = shutil.which("bash") or "bash"
WITH_SHELL = sorted({block.page for block in run_by("shell")})
NEAR = {"STILLHOUSE_WEBHOOK_ALLOW": "127.0.0.1"}
BRISK = {**NEAR, "STILLHOUSE_SWEEP_SECONDS": "0.5"}
OWN_HOUSE = "docs/access.md"
"""The page that makes the first key, and so closes the house to everybody without one."""


@dataclass(frozen=True)
class Reader:
    """Somebody who types what a page says."""

    client: Client
    hook: Hook
    kept: Path
    """Files that pages speak of."""
    variables: dict[str, str]

    def adapted(self, text: str) -> str:
        """Put in what is here for names that a page has made up."""
        for said, meant in INSTEAD.items():
            text = text.replace(said, meant)
        text = text.replace("http://127.0.0.1:8000", self.client.url)
        return re.sub(r"https://ci\.example/\w+", self.hook.url, text)

    def run(self, command: list[str], folder: Path) -> None:
        """Run it in a folder as a reader has it; fail as it does."""
        shutil.copytree(self.kept, folder, dirs_exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STILLHOUSE_")}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
            "STILLHOUSE_URL": self.client.url,
            "NO_COLOR": "1",
            **self.variables,
            "WEBHOOK": self.client.webhooks.create(self.hook.url)["id"],
        }
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout[-6000:]


def fill(folder: Path) -> None:
    """Write the files that pages speak of."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").touch()
    (folder / "examples").mkdir()
    for file in (ROOT / "examples").iterdir():
        (folder / "examples" / file.name).symlink_to(file)
    for name in ("spec.yaml", "examples/digits.yaml"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(yaml.safe_dump(TINY))
    teaching = {**TINY, "training": {"max_steps": 5}}
    del teaching["student"]
    (folder / "without_student.yaml").write_text(yaml.safe_dump(teaching))
    sweep = {"spec": TINY, "space": {"training.learning_rate": [0.01, 0.1]}}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    for place in ("train/cat/1", "train/cat/2", "train/dog/1", "test/cat/1", "test/dog/1"):
        image = folder / "images" / f"{place}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((32, 32), len(place) * 9.0).save(image)
    shutil.make_archive(str(folder / "photos"), "zip", folder / "images")
    rows = "".join(f"{age},{'old' if age > 30 else 'new'}\n" for age in range(20, 40))
    (folder / "table.csv").write_text(f"age,kind\n{rows}")
    save_file({"layer.weight": np.zeros((4, 4), np.float32)}, folder / "teacher.safetensors")
    write = [sys.executable, ROOT / "examples" / "texts.py", folder]
    subprocess.run(write, check=True, capture_output=True)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Generator[Reader]:
    """Give a reader with a house, two jobs that have ended, and files."""
    folder = tmp_path_factory.mktemp("house")
    kept = tmp_path_factory.mktemp("kept")
    fill(kept)
    settings = Settings(data=folder / "data")
    with running_hook() as hook, running_house(settings, folder, **BRISK) as client:
        jobs = [client.submit({**TINY, "seeds": [seed]})["id"] for seed in (0, 1)]
        variables = dict(zip(("JOB", "OTHER"), jobs, strict=True))
        variables |= {"STILLHOUSE_DATA": str(settings.data)}
        for name, file in (
            ("ds", "photos.zip"),
            ("TABLE", "table.csv"),
            ("TEXTS", "messages.jsonl"),
            ("TOKENIZER", "tokenizer.json"),
        ):
            variables[name] = client.datasets.upload(kept / file)["id"]
        variables["mdl"] = client.models.upload(kept / "teacher.safetensors")["id"]
        for job in jobs:
            assert client.wait(job)["status"] == "succeeded"
        yield Reader(client, hook, kept, variables)


@pytest.fixture(autouse=True)
def _nothing_goes_on(reader: Reader) -> Generator[None]:
    """Cancel what a block has begun and not waited for."""
    yield
    for sweep in reader.client.sweeps.list():
        if sweep["status"] == "running":
            reader.client.sweeps.cancel(sweep["id"])
    for job in reader.client.list()["data"]:
        if not job["terminal"]:
            reader.client.cancel(job["id"])
    for webhook in reader.client.webhooks.list():
        reader.client.webhooks.delete(webhook["id"])


def script(page: str, reader: Reader, folder: Path) -> str:
    """Return the commands of a page as one script, which ends at the first that fails."""
    lines = ["set -euo pipefail", "exec >said", f"trap 'cat {folder}/said >&2' EXIT"]
    before = dict(BEFORE.get(page, {}))
    commands = [line for block in run_by("shell") if block.page == page for line in block.commands]
    for line in commands:
        lines += [before.pop(start) for start in [*before] if line.startswith(start)]
        if line.startswith(tuple(ELSEWHERE)):
            continue
        lines.append(reader.adapted(re.sub(r"\b([a-z]{2,3})_…", r"${\1}", line)))
    assert before == {}, "no line begins so"
    return "\n".join(lines).replace("curl -", "curl --fail-with-body -")


@pytest.mark.parametrize("page", [page for page in WITH_SHELL if page != OWN_HOUSE])
def test_the_commands_of_a_page_do_what_they_say(page: str, reader: Reader, tmp_path: Path) -> None:
    reader.run([BASH, "-c", script(page, reader, tmp_path)], tmp_path)


def test_the_first_key_is_made_and_opens_projects_as_the_page_says(
    reader: Reader, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with Database(Settings(data=data).database_url) as database:
        migrate(database)
    with running(Settings(data=data), **NEAR) as server, Client(server.url) as client:
        own = replace(reader, client=client, variables={"STILLHOUSE_DATA": str(data)})
        folder = tmp_path / "here"
        own.run([BASH, "-c", script(OWN_HOUSE, own, folder)], folder)


@pytest.mark.parametrize("block", run_by("python"), ids=str)
def test_a_program_runs(block: Block, reader: Reader, tmp_path: Path) -> None:
    program = IN_PYTHON.get(block.page, "") + reader.adapted(block.text)
    reader.run([sys.executable, "-c", program], tmp_path)


def wholes(block: Block, reader: Reader) -> list[dict[str, Any]]:
    """Return a block as whole documents; a key that stands there twice begins another one."""
    text = block.text
    for said, name in (
        (r"(?<=tokenizer: \"dataset:)ds_\w{26}", "TOKENIZER"),
        (r"(?<=text, path: \"dataset:)ds_\w{26}", "TEXTS"),
        (r"(?<=\"dataset:)ds_01\w{24}(?=\", image)", "ds"),
        (r"mdl_\w{26}", "mdl"),
    ):
        text = re.sub(said, reader.variables[name], text)
    keys = re.findall(r"^/?\w+(?=:)", text, re.MULTILINE)
    parts = text.splitlines() if len(set(keys)) < len(keys) else [text]
    return [{**FRAMES[str(block.runner)], **yaml.safe_load(part)} for part in parts]


@pytest.mark.parametrize("block", run_by("spec", "sweep"), ids=str)
def test_a_spec_is_accepted(block: Block, reader: Reader) -> None:
    where = {"spec": "jobs", "sweep": "sweeps"}[str(block.runner)]
    for whole in wholes(block, reader):
        answer = httpx.post(f"{reader.client.url}/v1/{where}?dry_run=true", json=whole, timeout=60)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("block", run_by("message"), ids=str)
def test_a_message_has_what_a_real_one_has(block: Block, reader: Reader) -> None:
    head, body = block.text.split("\n\n", 1)
    told = json.loads(re.sub(r"(?<=: )…", "null", body))
    before = len(reader.hook.got)
    reader.client.webhooks.create(reader.hook.url, events=[told["type"]])
    reader.client.wait(reader.client.submit({**TINY, "seeds": [5]})["id"])
    wait_until(lambda: len(reader.hook.got) > before)
    real = reader.hook.got[before]
    assert {name.lower() for name in re.findall(r"^([\w-]+): ", head, re.MULTILINE)} <= set(
        real.headers
    )
    sent = json.loads(real.body)
    assert [*sent] == [*told]
    assert {*sent["data"]} == {*told["data"]}
    assert {*sent["data"]["links"]} == {*told["data"]["links"]}
