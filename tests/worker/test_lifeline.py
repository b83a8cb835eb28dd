"""A child whose worker is gone, however silent it is."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

pytestmark = pytest.mark.slow

CHILD = """
import os, sys, time
from worker.lifeline import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())],
                         start_new_session=True)
time.sleep(600)
"""


def test_a_silent_child_is_killed_with_its_parent() -> None:
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, cwd=root
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_child_whose_parent_was_gone_before_ends_at_once() -> None:
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, "1"], cwd=root, check=False, timeout=30, capture_output=True
    )
    assert ended.returncode == 1
    assert ended.stdout == b""
