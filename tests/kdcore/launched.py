"""One of several processes of a launcher: runs small recipes of all methods, one after the other.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 python launched.py FOLDER PORT [PORT ...]

A port for each run, since each begins with a meeting of its own.
"""

import os
import sys
from pathlib import Path

from recipes import shared_recipe

from kdcore import distill
from kdcore.catalog import METHODS
from kdcore.crew import launched
from kdcore.follow import follow


def main() -> None:
    folder, *ports = sys.argv[1:]
    ranks = launched()
    assert ranks is not None
    for name, port in zip(METHODS, ports, strict=True):
        os.environ["MASTER_PORT"] = port
        recipe = shared_recipe(name, ranks.size)
        if ranks.rank:
            follow(ranks, recipe.runtime, threads=1)
        else:
            list(distill(recipe, Path(folder) / name))


if __name__ == "__main__":
    main()
