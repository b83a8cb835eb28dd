"""Networks by one word, as OpenAI's clients name models."""

from __future__ import annotations

from typing import Any, Final, cast

_JOB: Final = "job:"
_DELIVERED: Final = "artifact"


def network_of(word: Any) -> Any:
    """Return what a spec writes for a network that is named by a word; the rest as it is.

    A job stands for the student that it delivered.
    """
    if isinstance(word, str) and word.startswith(_JOB):
        return {"model": {"name": _DELIVERED, "path": word}}
    return word


def called(network: object) -> str:
    """Return the word for a network of a spec that may not be checked yet; empty if it has none."""
    if isinstance(network, dict) and "model" in network:
        network = cast("dict[str, object]", network)["model"]
    if isinstance(network, dict):
        fields = cast("dict[str, object]", network)
        path = fields.get("path")
        if fields.get("name") == _DELIVERED and isinstance(path, str):
            return path
        network = fields.get("name")
    return network if isinstance(network, str) else ""
