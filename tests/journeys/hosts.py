"""Airflow and Kubeflow Pipelines in an environment of their own: they pin what we pin otherwise."""

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from running import ROOT

PINS = Path(__file__).with_name("pipeline_hosts.txt")
"""All packages of both, tested together; made by `pip freeze`."""
KEPT = ROOT / ".pipeline-hosts"


def hosts_python() -> Path:
    """The environment's Python, which is made where it is not yet: once for these pins."""
    words = f"{sys.version_info[:2]} {PINS.read_text()}"
    folder = KEPT / hashlib.sha256(words.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    python, whole = folder / "bin" / "python", folder / "whole"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of these tests may be making it
        if not whole.exists():
            venv.create(folder)
            # Our own pip installs there; the one that Kubeflow asks for is among the pins.
            pip = [sys.executable, "-m", "pip", "--python", python, "-qq"]
            # The pins name everything, so there is nothing to resolve.
            install = [*pip, "install", "--no-deps", "--no-compile", "-r", PINS]
            subprocess.run(install, check=True, timeout=280)
            subprocess.run([*pip, "check"], check=True, timeout=60)
            whole.touch()
    return python
