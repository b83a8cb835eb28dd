"""What `docs/openai.md` tells to type is typed, against a real server."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Thread

import httpx
import pytest
from openai_clients import arrays
from serving import Server
from stage_worker import StageWorker
from waiting import wait_until

from api.facade.data import WITHOUT_FILE

PAGE = (Path(__file__).parents[2] / "docs/openai.md").read_text()
FILES = {"student.safetensors": bytes(64), "report.md": b"# Report\n"}


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_its_lines_bring_a_student(
    server: Server,
    remote: httpx.Client,
    remote_worker: StageWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("digits.npz").write_bytes(arrays())
    lines = block.replace("http://127.0.0.1:8000", server.url).replace("shk_…", "any")
    # Files and connections of a script are closed with it.
    lines = lines.replace('open("digits.npz", "rb")', 'pathlib.Path("digits.npz")')

    def work() -> None:
        wait_until(lambda: remote.get("/v1/jobs").json()["data"])
        remote_worker.play(FILES)

    working = Thread(target=work)
    working.start()
    exec(f"import pathlib\n{lines}client.close()", {})  # noqa: S102 - the page's own lines
    working.join()
    assert {name: Path(name).read_bytes() for name in FILES} == FILES
    (job,) = remote.get("/v1/jobs").json()["data"]
    assert (job["method"], job["student"]) == ("dkd", "mlp")


def test_data_that_need_no_file_are_named_on_it() -> None:
    assert all(f"`{name}`" in PAGE for name in WITHOUT_FILE)
