"""Stillhouse in two minutes, with the real processes on this machine.

Starts API and worker on a fresh data folder, submits examples/digits.yaml over HTTP, follows it
live, shows the verdict, downloads the student, checks every digest, and lets both of its forms
read handwritten digits. Ends with 0 only if distillation beat training without a teacher.

`--keep` leaves the server running afterwards, until Ctrl-C.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from stillhouse import Client
from stillhouse.live import follower
from stillhouse.spec import read_spec
from stillhouse.tables import failure_text, verdict_view
from stillhouse.words import duration, size

from kdcore.datasets.digits import Digits
from kdcore.student import load_student

SPEC = Path(__file__).with_name("digits.yaml")
OUT = Path("out/demo")
SHOWN = 8
TOLERANCE = 1e-4
SHADES = " .:-=+*#%@"

console = Console(highlight=False)


def main() -> int:
    """Run the demo; 0 only if everything held and the outcome is `beats`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stillhouse-demo-") as scratch:
        data = Path(scratch)
        heading("1  Start: API, page and worker, on SQLite in a fresh folder")
        server, url = start(data)
        try:
            say(f"The page is at {url}/ while this runs: open it and watch along.")
            with Client(url) as client:
                passed = tour(client)
            say(f"\nThat took {duration(time.monotonic() - began)}.")
            if "--keep" in sys.argv:
                say(f"The server stays at {url}/ until Ctrl-C.")
                server.wait()
        except KeyboardInterrupt:
            say("\nStopping …")
            passed = False
        finally:
            stop(server)
    if passed:
        say(f"The student is in {OUT}/ (README.md there tells how to use it).")
        say("Go on with `make up`, and examples/digits.yaml as your first own spec.")
    return 0 if passed else 1


def tour(client: Client) -> bool:
    """From spec to predictions; whether everything is as it should be."""
    heading(f"2  Submit {SPEC.name}: a small student learns from a teacher 24 times its size")
    job_id = client.submit(read_spec(str(SPEC)))["id"]
    say(f"{job_id}   {client.url}/jobs/{job_id}")

    heading("3  Watch")
    follower(console, job_id).follow(client.watch(job_id))
    job = client.get(job_id)
    if failure := job["failure"]:
        console.print(failure_text(failure["code"], failure["message"], failure["hint"]))
    verdict = job["verdict"]
    if job["status"] != "succeeded" or verdict is None:
        say(f"The job is {job['status']}: no student.", "bold red")
        return False

    heading("4  Verdict: was it worth it?")
    console.print(verdict_view(verdict))
    say(
        "Read it with care: the student saw 100 labels, and most of the gain is the teacher "
        "answering for the\nimages without one (see `hard labels`: its hard answers alone). "
        "With all labels kept,\ndistillation is worth half a point on this toy.",
        "dim",
    )

    heading("5  Download, and check every digest")
    files = client.download(job_id, OUT)
    check_digests(client.checksums(job_id), files)

    heading("6  Use: the student reads digits it never saw, as safetensors and as ONNX")
    predict(OUT)
    return verdict["outcome"] == "beats"


def start(data: Path) -> tuple[subprocess.Popen[str], str]:
    """Start `stillhouse up` on a free port; the process and its URL.

    It runs on a leash: should this script be killed, the server notices and stops.
    """
    log = data / "up.log"
    arguments = ["up", "--data", str(data), "--port", "0", "--json"]
    with log.open("w") as errors:
        server = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "stillhouse.leash", "90", "stillhouse", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    line = cast("IO[str]", server.stdout).readline()
    if not line:
        server.wait()
        raise SystemExit(f"the server did not start:\n{log.read_text()}")
    return server, str(json.loads(line)["url"])


def stop(server: subprocess.Popen[str]) -> None:
    """Stop everything, workers first."""
    server.terminate()
    server.communicate()
    say("Everything is stopped.", "dim")


def check_digests(listed: str, files: list[Path]) -> None:
    """Hold the files on disk against SHA256SUMS."""
    (OUT / "SHA256SUMS").write_text(listed)
    sums = {
        name: digest for digest, name in (line.split(maxsplit=1) for line in listed.splitlines())
    }
    table = Table(box=None, pad_edge=False)
    for column in ("file", "size", "sha256"):
        table.add_column(column, style="" if column == "file" else "dim")
    for file in files:
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != sums[file.name]:
            raise SystemExit(f"{file} is not what SHA256SUMS says")
        table.add_row(file.name, size(len(content)), f"{sums[file.name][:16]}…  ok")
    console.print(table)


def predict(folder: Path) -> None:
    """Let both forms of the student read test images, and hold them against each other."""
    test = Digits().read(Path()).test
    with torch.inference_mode():
        logits = load_student(folder)(test.inputs).numpy()
    session = cast("Any", onnxruntime.InferenceSession(folder / "student.onnx"))
    (onnx_logits,) = session.run(["logits"], {"inputs": test.inputs.numpy()})
    difference = float(np.abs(logits - onnx_logits).max())
    if difference > TOLERANCE:
        raise SystemExit(f"safetensors and ONNX differ by {difference:g}, expected {TOLERANCE:g}")

    labels = test.labels.numpy()
    answers = logits.argmax(axis=1)
    console.print(pictures(test.inputs[:SHOWN, 0].numpy(), answers[:SHOWN], labels[:SHOWN]))
    right = int((answers == labels).sum())
    say(
        f"{right} of {len(labels)} test images read right; "
        f"the two forms' logits differ by at most {difference:.1g}."
    )


def pictures(images: np.ndarray, answers: np.ndarray, labels: np.ndarray) -> Table:
    """Images side by side in ten shades, and under each what the student reads."""
    table = Table(box=None, pad_edge=False)
    for _ in images:
        table.add_column(justify="center")
    drawn = [
        "\n".join("".join(SHADES[round(9 * float(pixel))] * 2 for pixel in row) for row in image)
        for image in images
    ]
    table.add_row(*(Text(picture, no_wrap=True) for picture in drawn[: len(drawn) // 2]))
    captions = [
        Text(f"reads {answer}" + (" ✓" if answer == label else f", is {label}"))
        for answer, label in zip(answers, labels, strict=True)
    ]
    table.add_row(*captions[: len(drawn) // 2])
    table.add_row(*(Text(picture, no_wrap=True) for picture in drawn[len(drawn) // 2 :]))
    table.add_row(*captions[len(drawn) // 2 :])
    return table


def heading(text: str) -> None:
    """Begin a step."""
    console.print()
    console.print(Text(text, style="bold"))


def say(text: str, style: str = "") -> None:
    """Tell something."""
    console.print(Text(text, style=style), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
