"""A real MLflow server for tests, as a process on files of its own, which outlive it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import wait_until

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class MlflowServer:
    """What `mlflow server` starts, without the process that starts it: half the time."""

    def __init__(self, folder: Path) -> None:
        """Prepare a server on a free port, or skip the test."""
        for needed in ("mlflow", "aiohttp", "pandas"):
            if find_spec(needed) is None:  # not imported: this process may have no use for it
                pytest.skip(f"no {needed} for MLflow's server")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = os.environ | QUIET
        environment |= {
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{self._folder}/mlflow.db",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self._folder / "artifacts"),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        }
        program = "mlflow.server.fastapi_app:app"
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "--port", str(self.port), program],
                env=environment,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, seconds=90, every=0.1)

    def kill(self) -> None:
        """Kill it; what it has answered is on the disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        """Return MLflow's own client of it."""
        os.environ.update(QUIET)
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.url)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        return False
