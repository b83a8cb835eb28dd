"""Trying one mutant: a copy of the sources, changed, under the tests that must notice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mutants.catalogue import Mutant

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("api", "jobs", "worker")
COPIED = (*SOURCES, "kdcore", "migrations", "client", "tests", "pyproject.toml")
TEST_SECONDS = 60
HANGING_SECONDS = 20
"""After so many a test that shall hang is taken to do so; it ends within five otherwise."""
TIMED_OUT = "from pytest-timeout"
PASSED, FAILED = 0, 1


class UnfitMutantError(Exception):
    """A mutant does not fit the sources, or its tests do not run."""


def copy_house(folder: Path) -> Path:
    """Copy all that tests stand on into an empty folder."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def places(mutant: Mutant, root: Path = ROOT) -> list[tuple[Path, str, str]]:
    """Return file, old and new text of each change.

    Raises:
        UnfitMutantError: a text does not stand exactly once in the sources.
    """
    found: list[tuple[Path, str, str]] = []
    files = [file for name in SOURCES for file in sorted((root / name).rglob("*.py"))]
    for old, new in mutant.changes:
        holders = [(file, file.read_text().count(old)) for file in files]
        holders = [(file, count) for file, count in holders if count]
        if [count for _, count in holders] != [1]:
            raise UnfitMutantError(f"{mutant.name}: found {old!r} in {holders}; expected it once")
        found.append((holders[0][0], old, new))
    return found


def is_caught(mutant: Mutant, house: Path) -> bool:
    """Change the copied house, run the mutant's tests, and change it back.

    Raises:
        UnfitMutantError: the tests could not be run, so they say nothing.
    """
    changed = places(mutant, house)
    kept = {file: file.read_text() for file, _, _ in changed}
    for file, old, new in changed:
        file.write_text(file.read_text().replace(old, new))
    try:
        return not _passes(mutant, house)
    finally:
        for file, text in kept.items():
            file.write_text(text)


def _passes(mutant: Mutant, house: Path) -> bool:
    seconds = HANGING_SECONDS if mutant.hangs else TEST_SECONDS
    words = ["-x", "-q", "-p", "no:cacheprovider", "--timeout", str(seconds)]
    if mutant.only:
        words += ["-k", mutant.only]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *words, *mutant.tests],
        cwd=house,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=20 * TEST_SECONDS,
        check=False,
    )
    if done.returncode not in {PASSED, FAILED}:
        raise UnfitMutantError(
            f"{mutant.name}: pytest ended with {done.returncode}:\n{done.stdout}"
        )
    if TIMED_OUT in done.stdout and not mutant.hangs:
        raise UnfitMutantError(f"{mutant.name}: too slow to tell\n{done.stdout}")
    return done.returncode == PASSED


def _environment() -> dict[str, str]:
    # The copy's own modules, wherever the tests' processes start.
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
