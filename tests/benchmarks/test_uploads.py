"""A large upload stays out of the server's memory, whichever way it comes."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/uploads.py"))
MEBIBYTES = 256
MOST_OVER = 32
"""MiB over what the server takes before; a whole file, or a copy of one part, is more."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a large file of arrays and a small one."""
    folder = tmp_path_factory.mktemp("arrays")
    for name, mebibytes in (("large", MEBIBYTES), ("small", 1)):
        BENCHMARK["write_arrays"](folder / f"{name}.npz", mebibytes)
    return folder / "large.npz", folder / "small.npz"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the highest memory is told by Linux's /proc")
@pytest.mark.parametrize("way", BENCHMARK["WAYS"])
def test_a_large_upload_is_never_in_memory(way: str, files: tuple[Path, Path]) -> None:
    found = BENCHMARK["measured"](way, *files)
    assert found["mebibytes"] == pytest.approx(MEBIBYTES, abs=1)
    assert found["over_mib"] < MOST_OVER
