"""An attempt's own folder, furnished with what earlier attempts completed.

Files there are written beside and renamed once, never changed (the engine replaces a curve's file
before it appends to it). So a new attempt may take them over by hard links, and a trainer that lost
its lease can never touch the files of its successor.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def prepare_workdir(work: Path, job_id: str, attempt: int, resume_from: Iterable[int]) -> Path:
    """Make the attempt's folder out of the newest earlier one that is on this machine.

    Raises:
        OSError: the disk refuses.
    """
    folder = work / job_id / str(attempt)
    beside = folder.with_name(f"{attempt}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for earlier in resume_from:
        # A folder under its final name is whole, and holds all that its predecessors had.
        if (source := folder.with_name(str(earlier))).is_dir():
            _take_over(source, beside)
            break
    beside.rename(folder)
    return folder


def _take_over(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.suffix == ".tmp" or path.is_symlink():
            continue
        if path.is_dir():
            (target / path.name).mkdir()
            _take_over(path, target / path.name)
        else:
            link_or_copy(path, target / path.name)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or make a copy of it where that cannot be.

    Raises:
        OSError: it is not there, or the disk refuses.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Some file systems have no hard links.
        shutil.copyfile(source, target)
