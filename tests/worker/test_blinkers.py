"""A trainer cannot read the files that hold the passwords of its worker."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from worker.blinkers import can_hide
from worker.environment import bare_environment

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, subprocess, sys, tempfile
from pathlib import Path
from worker.blinkers import put_on_blinkers
put_on_blinkers()
secret, link, other, folder = map(Path, sys.argv[1:])
for path in (secret, link, Path(f"/proc/self/root{secret}")):
    try:
        print("read", path.read_text())
    except PermissionError:
        print("refused")
print(other.read_text())
print(subprocess.run(["cat", secret], capture_output=True).returncode)
(folder / "a").mkdir()
(folder / "a" / "made").write_text("mine")
print((folder / "a" / "made").rename(folder / "moved").read_text())
"""

pytestmark = pytest.mark.skipif(not can_hide(), reason="no Landlock here")


def look(tmp_path: Path, environment: dict[str, str]) -> list[str]:
    """Return what a child that has put on blinkers says of a secret and of other files."""
    secrets, folder = tmp_path / "secrets", tmp_path / "data"
    secrets.mkdir()
    folder.mkdir()
    (secrets / "password").write_text("planted")
    (secrets / "other").write_text("open")
    (folder / "link").symlink_to(secrets / "password")
    paths = [secrets / "password", folder / "link", secrets / "other", folder]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *paths],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_child_reads_everything_but_the_files_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "secrets" / "password"
    monkeypatch.setenv("STILLHOUSE_DATABASE_PASSWORD_FILE", str(password))
    monkeypatch.setenv("STILLHOUSE_DATABASE_PASSWORD", "planted")
    told = bare_environment()
    assert "planted" not in told.values()
    assert look(tmp_path, told) == ["refused"] * 3 + ["open", "1", "mine"]


LOOK = """
import os, sys
from pathlib import Path
def look(*_):
    try:
        print("read", Path(sys.argv[0]).read_text(), flush=True)
    except PermissionError:
        print("refused", flush=True)
    os._exit(0)
"""
MAINS = {
    "trainer": "trainer.train = look; trainer.main()",
    "nursery": "nursery.main(look, look, look)",
    "inspector": "inspector.answer = look; inspector.main()",
    "hub_child": "hub_child.fetch = look; hub_child.main()",
}


@pytest.mark.parametrize("child", MAINS)
def test_every_child_of_a_worker_has_them_on_before_it_looks_at_anything(
    child: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.write_text("planted")
    monkeypatch.setenv("STILLHOUSE_BROKER_PASSWORD_FILE", str(password))
    # The program's name is the one place in `sys.argv` that they do not read.
    words = ["--events-fd", "1", "--parent", str(os.getpid())]
    words = {"nursery": ["--channel-fd", "0", *words[2:]], "hub_child": []}.get(child, words)
    program = (
        f"import sys; from worker import {child}; sys.argv[0] = {str(password)!r}\n"
        f"{LOOK}\n{MAINS[child]}"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b'{"memory_bytes": 4294967296}')
        ours.shutdown(socket.SHUT_WR)
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            env=bare_environment(),
            cwd=tmp_path,
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stdout == "refused\n", done.stderr


def test_without_such_a_file_nothing_is_given_up(tmp_path: Path) -> None:
    assert look(tmp_path, {"PATH": os.defpath}) == ["read planted"] * 3 + ["open", "0", "mine"]
