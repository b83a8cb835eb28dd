"""Repositories of the Hugging Face hub that recipes name, as a worker needs them."""

from collections.abc import Iterator
from typing import Any, Final, cast

from jobs.inputs import Used
from jobs.references import hub_name
from kdcore.hub import CONFIG, WEIGHTS

LOCATION: Final = "hub:"
OFF: Final = "off"
"""In the place of the hub's URL: nothing is fetched from there."""
"""What locations begin with that are no store's."""


def hub_files(document: object) -> list[Used]:
    """Return the files of all repositories that a recipe's JSON names, each once."""
    found = {
        f"{path}/{file}": Used(file, 0, "", f"{LOCATION}{name}/{file}", f"{path}/{file}")
        for path in _strings(document)
        if (name := hub_name(path))
        for file in (CONFIG, WEIGHTS)
    }
    return list(found.values())


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for one in cast("dict[str, Any]", value).values():
                yield from _strings(one)
        case list():
            for one in cast("list[Any]", value):
                yield from _strings(one)
        case _:
            pass
