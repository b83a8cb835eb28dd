"""A trainer that speaks the real protocol and computes a hash chain, with faults on order.

A skipped or repeated step changes the result, so two runs that end in the same file did the same
work. The recipe's name is the script, in JSON; it needs no torch and starts in a blink.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from worker.lifeline import die_with_parent

STAGE = {"stage": "student-0", "role": "student", "seed": 0}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events-fd", type=int)
    parser.add_argument("--parent", type=int)
    arguments = parser.parse_args()
    return train(arguments.parent, arguments.events_fd)


def train(parent: int, events_fd: int) -> int:  # noqa: C901, PLR0912, PLR0915  # in order, like a script
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _: stop.append(signum))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if not (sent := sys.stdin.read()):
        return 75
    die_with_parent(parent)
    order = json.loads(sent)
    script = json.loads(order["recipe"]["name"])
    workdir = Path(order["workdir"])

    def write(text: str) -> None:
        left = text.encode()
        while left:
            left = left[os.write(events_fd, left) :]

    def tell(what: str, /, **fields: object) -> None:
        write(json.dumps({"type": what, **fields}) + "\n")

    def once(fault: str) -> bool:
        """Tell whether a fault is due: always, or in the first attempt alone."""
        return fault in script and (not script.get("once") or workdir.name == "1")

    seen = {
        "env": dict(os.environ),
        "environ": Path("/proc/self/environ").read_text(),
        "pid": os.getpid(),
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "folder": str(Path.cwd()),
        "descriptors": {name: str(Path(f"/proc/self/fd/{name}").resolve()) for name in (0, 1, 2)},
    }
    if "reads" in script:
        inputs = Path(order["inputs"])
        seen["inputs"] = {path: (inputs / path).read_text() for path in script["reads"]}
    (workdir / "order.json").write_text(sent)
    (workdir / "seen.json").write_text(json.dumps(seen))
    if "child" in script:
        # A helper process that holds the pipe, as a data loader's would.
        helper = [sys.executable, "-c", "import time; time.sleep(600)"]
        pid = subprocess.Popen(helper, close_fds=False).pid
        (workdir / "helper.pid").write_text(str(pid))
    if "say" in script:
        os.write(2, script["say"].encode())
    for _ in range(script.get("noise", 0)):
        os.write(2, b"x" * 99 + b"\n")
    if "noise" in script:
        os.write(2, b"last words\n")
    saved = workdir / "state.json"
    state = json.loads(saved.read_text()) if saved.exists() else {"step": 0, "hash": "start"}
    total = script.get("steps", 5)
    plan = {"name": "student-0", "role": "student", "seed": 0, "total_steps": total, "teachers": []}
    tell("run.started", stages=[plan], device="cpu", threads=1, versions={})
    tell("phase", phase="training")
    tell("stage.started", **STAGE, step=state["step"], total_steps=total, parameters=1)
    while state["step"] < total:
        step = state["step"] + 1
        state = {
            "step": step,
            "hash": hashlib.sha256(f"{state['hash']}{step}".encode()).hexdigest(),
        }
        points = {"step": [step], "loss": [1.0 / step]}
        tell("metrics", stage="student-0", seed=0, columns=points)
        tell(
            "stage.progress",
            **STAGE,
            step=step,
            total_steps=total,
            epoch=0.0,
            samples_per_second=1.0,
            eta_seconds=1.0,
            percent=100.0 * step / total,
            run_eta_seconds=1.0,
            metrics={},
        )
        if once("crash_at") and script["crash_at"] == step:
            os._exit(script.get("code", 1))
        if once("kill_at") and script["kill_at"] == step:
            os.kill(os.getpid(), signal.SIGKILL)
        if once("garbage_at") and script["garbage_at"] == step:
            write("Segmentation fault (core dumped)\n")
        if once("huge_at") and script["huge_at"] == step:
            write("x" * (9 << 20) + "\n")
        if once("hang_at") and script["hang_at"] == step:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        if once("hold_at") and script["hold_at"] == step:
            # Far from the end, however slow the machine is, until somebody asks to stop.
            while not stop:
                time.sleep(0.02)
        if "refuse_at" in script and script["refuse_at"] == step:
            tell("run.failed", code=script["refuse"], message="cannot go on", hint="do otherwise")
            return 65
        if step % script.get("save_every", 1) == 0 or stop:
            beside = saved.with_suffix(".tmp")
            beside.write_text(json.dumps(state))
            beside.replace(saved)
            tell("checkpoint", stage="student-0", seed=0, step=step)
        if stop:
            tell("run.stopped", reason="asked to stop", stage="student-0", step=step)
            return 75
        time.sleep(script.get("pause", 0))
    tell("stage.finished", **STAGE, step=total, seconds=1.0, scores={"accuracy": 1.0})
    content = state["hash"].encode()
    (workdir / "artifacts").mkdir(exist_ok=True)
    (workdir / "artifacts" / "student.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    tell(
        "artifact",
        name=script.get("artifact", "student.safetensors"),
        path=script.get("path", "artifacts/student.safetensors"),
        kind="student",
        size_bytes=len(content),
        sha256=script.get("sha256", digest),
        media_type="application/octet-stream",
    )
    if not script.get("no_end"):
        tell("run.finished", seconds=1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
