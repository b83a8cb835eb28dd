"""Files of the Hugging Face hub, fetched by a child that can be stopped, and kept by their sha256.

A file is named by a commit, so what it is never changes. Which sha256 that is stands beside the
input cache's files, in `hub/<owner>/<name>/<commit>/<file>`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from jobs.hub import LOCATION, OFF
from jobs.input_errors import HubRefused, HubUnreachable
from jobs.inputs import Used
from jobs.settings import Settings
from worker.blinkers import hidden_files
from worker.hub_child import REFUSED
from worker.input_cache import InputCache
from worker.verifying import InVain, sha256_of

_LOOK_SECONDS: Final = 0.1


def lay_from_hub(
    used: Used, target: Path, cache: InputCache, settings: Settings, in_vain: Callable[[], bool]
) -> None:
    """Lay a file of the hub, from the cache where it was verified, or else fetched.

    Raises:
        HubRefused: there is no such file, or not for us.
        HubUnreachable: the hub does not answer.
        InVain: nobody wants it any more.
        OSError: the disk refuses.
    """
    named = used.location.removeprefix(LOCATION)
    if settings.hub_url == OFF:
        raise HubRefused(named, "this house fetches nothing from there")
    repository, _, rest = named.partition("@")
    commit, _, file = rest.partition("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    note = settings.input_cache / "hub" / repository / commit / file
    with contextlib.suppress(OSError):
        known = note.read_text()
        if cache.lay(known, target):
            if sha256_of(target, in_vain) == known:
                return
            target.unlink()
            cache.drop(known)
    order = {
        "url": settings.hub_url,
        "token": settings.hub_token.get_secret_value() if settings.hub_token else None,
        "repository": repository,
        "commit": commit,
        "file": file,
        "folder": str(target.parent),
        "most_bytes": settings.upload_bytes,
    }
    _fetch(named, order, time.monotonic() + settings.hub_seconds, in_vain)
    shutil.rmtree(target.parent / ".cache", ignore_errors=True)  # what the library noted for itself
    sha256 = sha256_of(target, in_vain)
    cache.keep(sha256, target)
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(sha256)


def _environment() -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("STILLH")}
    return others | hidden_files()


def _fetch(named: str, order: dict[str, Any], until: float, in_vain: Callable[[], bool]) -> None:
    """Have a child fetch a file; it is killed where that takes too long, or is in vain."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "worker.hub_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(),
    ) as child:
        assert child.stdin is not None  # noqa: S101  # as asked for
        child.stdin.write(json.dumps(order))
        child.stdin.close()
        child.stdin = None
        while child.poll() is None:
            if in_vain():
                child.kill()
                raise InVain
            if time.monotonic() > until:
                child.kill()
                raise HubUnreachable(named, "it took too long")
            time.sleep(_LOOK_SECONDS)
        told = child.stdout.read() if child.stdout else ""
    if child.returncode == REFUSED:
        raise HubRefused(named, told.strip() or "no reason was given")
    if child.returncode:
        raise HubUnreachable(named, told.strip() or f"the fetcher ended with {child.returncode}")
