"""An extra that an entry needs can be installed, and workers can tell whether they have it."""

import re
import tomllib
from pathlib import Path

from kdcore.catalog import AXES
from worker.machine import EXTRAS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())


def test_every_extra_of_an_entry_is_installable_and_told_by_workers():
    needed = {one.extra for entries in AXES.values() for one in entries.values() if one.extra}
    assert needed == set(EXTRAS)
    offered = PROJECT["project"]["optional-dependencies"]
    for extra, libraries in EXTRAS.items():
        brings = {re.split(r"[^a-z0-9-]", one)[0] for one in offered[extra]}
        assert set(libraries) <= brings
