"""This machine in the place of the containers of docker-compose.yml."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from servers import redis_program

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docker-compose.yml").read_text()
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(TEXT)
OURS: Final = {
    name: service
    for name, service in COMPOSE["services"].items()
    if str(service["image"]).startswith("stillhouse-")
}
SECRETS: Final = "/run/secrets"
_DATABASE_URL: Final = "postgresql://stillhouse@postgres:5432/stillhouse"
_BROKER_URL: Final = "redis://redis:6379/0"
_HEAD: Final = [line[2:].strip() for line in TEXT.splitlines() if line.startswith("#   ")]
_BASH: Final = shutil.which("bash") or "bash"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Host:
    """This machine in the place of the containers."""

    def __init__(self, folder: Path) -> None:
        """Make folders and secrets, the latter by the commands in the file's head."""
        self.folder = folder
        self.data, self.tmp = folder / "data", folder / "tmp"
        for made in (self.data, self.tmp):
            made.mkdir()
        self.port, self.redis_port = _free_port(), _free_port()
        commands = [line for line in _HEAD if "secrets" in line]
        assert len(commands) == 2
        subprocess.run([_BASH, "-euc", "\n".join(commands)], cwd=folder, check=True)
        self.secrets = folder / "secrets"
        self.database_url = ""

    def secret(self, name: str) -> str:
        """What the file of a secret says."""
        return (self.secrets / name).read_text().strip()

    def command(self, service: str) -> list[str]:
        """The service's command, on this machine's Python and port."""
        words = [str(word) for word in OURS[service]["command"]]
        assert words[0] == "python"
        here = {"0.0.0.0": "127.0.0.1", "8000": str(self.port)}  # noqa: S104 - what stands there
        return [sys.executable, *(here.get(word, word) for word in words[1:])]

    def environment(self, service: str) -> dict[str, str]:
        """The service's environment, and of this process's only what a container has too."""
        given = {key: self._value(key, str(value)) for key, value in _environment(service).items()}
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
        ours = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), "TMPDIR": str(self.tmp)}
        return {**kept, **ours, **given}

    def _value(self, key: str, value: str) -> str:
        match key:
            case "STILLHOUSE_DATA":
                assert value == "/data"
                return str(self.data)
            case "STILLHOUSE_DATABASE_URL":
                assert value == _DATABASE_URL
                return self.database_url
            case "STILLHOUSE_BROKER_URL":
                assert value == _BROKER_URL
                return f"redis://127.0.0.1:{self.redis_port}/0"
            case _ if key.endswith("_FILE"):
                return value.replace(SECRETS, str(self.secrets))
            case _:
                return re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)

    def first_key(self) -> str:
        """Make the first key, as the file's head says."""
        make = next(line for line in _HEAD if "jobs.make_key" in line)
        made = self.run("api", shlex.split(make.partition(" python ")[2]))
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def run(self, service: str, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run Python in the place of a service's command, as `docker compose run` does."""
        return subprocess.run(
            [sys.executable, *words],
            env=self.environment(service),
            cwd=self.data,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start a service as compose would."""
        with (self.folder / f"{service}.log").open("wb") as log:
            return subprocess.Popen(
                self.command(service),
                env=self.environment(service),
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def healthy(self, service: str) -> bool:
        """Whether a service's own check says so."""
        words = COMPOSE["services"][service]["healthcheck"]["test"]
        assert words[:2] == ["CMD", "python"]
        probe = [word.replace(":8000", f":{self.port}") for word in words[2:]]
        return self.run(service, probe).returncode == 0

    def redis(self, script: str) -> list[str]:
        """A command of the service `redis`, with this machine's folders, port and programs."""
        conf = self.folder / "redis.conf"
        told = (ROOT / COMPOSE["configs"]["redis"]["file"]).read_text()
        conf.write_text(f"{told.replace('/data', str(self.data))}\nport {self.redis_port}\n")
        for there, here in {
            "$$": "$",
            "/tmp/redis.conf": str(self.tmp / "redis.conf"),  # noqa: S108 - the container's
            "/etc/redis.conf": str(conf),
            SECRETS: str(self.secrets),
            "redis-server ": f"{redis_program()} ",
            "redis-cli ": f"{Path(redis_program()).with_name('redis-cli')} -p {self.redis_port} ",
        }.items():
            script = script.replace(there, here)
        return ["sh", "-c", script]

    def log(self, service: str) -> str:
        """What it has said."""
        return (self.folder / f"{service}.log").read_text()


def _environment(service: str) -> dict[str, Any]:
    return OURS[service]["environment"]
