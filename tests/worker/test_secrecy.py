"""A trainer cannot read the passwords of the process that started it."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.environment import bare_environment

PR_CAPBSET_DROP = 24
LOOKING = (19, 21, 38)  # CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON
PROGRAM = """
import ctypes, os, subprocess, sys
from jobs.secrecy import hide_environment
if sys.argv[1] == "hide":
    hide_environment()
sys.stderr.write(f"dumpable {ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)}")
look = "import sys; print(open(sys.argv[1], 'rb').read().decode())"
done = subprocess.run([sys.executable, "-c", look, f"/proc/{os.getpid()}/environ"], env={},
                      capture_output=True, text=True)
sys.stdout.write(done.stdout + done.stderr)
"""


def _look_at_nobody() -> None:
    """Take from root what lets it look into any process, as a container does."""
    for capability in LOOKING:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="what /proc tells is Linux's")
@pytest.mark.parametrize("hides", [True, False])
def test_a_child_of_the_same_user_cannot_read_its_parents_environment(hides: bool) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "hide" if hides else "show"],
        env={"PYTHONPATH": str(root), "STILLHOUSE_DATABASE_URL": "planted", "PATH": os.defpath},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_look_at_nobody,
    )
    assert f"dumpable {int(not hides)}" in done.stderr
    assert ("PermissionError" in done.stdout) is hides, done.stdout + done.stderr


def test_a_trainers_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "STILLHOUSE_DATABASE_URL",
        "STILLHOUSE_BROKER_URL",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "GITHUB_TOKEN",
        "HF_TOKEN",
        "SSH_AUTH_SOCK",
    ):
        monkeypatch.setenv(name, "planted")
    assert "planted" not in bare_environment().values()
