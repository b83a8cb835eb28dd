"""Where the server is, how a command finds the one that `stillhouse up` started, and its key."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypedDict, cast

from stillhouse.errors import SpecError

DEFAULT_URL = "http://127.0.0.1:8000"
SERVER_FILE = "server.json"


class Running(TypedDict):
    """What `stillhouse up` writes into its data folder while it runs."""

    url: str
    pid: int


def data_folder() -> Path:
    """The data folder that STILLHOUSE_DATA names, else ./stillhouse-data."""
    return Path(os.environ.get("STILLHOUSE_DATA") or "stillhouse-data")


def running(data: Path) -> Running | None:
    """The server that runs on this data folder, if one does."""
    try:
        found: object = json.loads((data / SERVER_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    values = cast("dict[str, object]", found)
    url, pid = values.get("url"), values.get("pid")
    if not isinstance(url, str) or not isinstance(pid, int) or not _alive(pid):
        return None
    return Running(url=url, pid=pid)


def server_url() -> str:
    """STILLHOUSE_URL, else the server on this machine's data folder, else the default."""
    if named := os.environ.get("STILLHOUSE_URL"):
        return named
    found = running(data_folder())
    return found["url"] if found else DEFAULT_URL


def credentials(api_key: str | None, project: str | None) -> dict[str, str]:
    """The headers that show a key and name a project, from the environment where none is given."""
    key = api_key or os.environ.get("STILLHOUSE_API_KEY")
    named = project or os.environ.get("STILLHOUSE_PROJECT")
    if not (f"{key}{named}".isascii() and f"{key}{named}".isprintable()):
        raise SpecError("found a key or a project with characters that no header can hold")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return headers | ({"Stillhouse-Project": named} if named else {})


def _alive(pid: int) -> bool:
    if os.name == "nt":
        # There, signal 0 would end the process; the file alone has to do.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
