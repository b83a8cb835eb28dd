"""What OpenAPI says of answers that many routes share: refusals from before them, and 304."""

from __future__ import annotations

from typing import Any, Final

from api.answers import problems

_IS_ALWAYS_NEW: Final = {"operations"}
_UNCHANGED: Final = "Nothing has changed since the answer whose ETag `If-None-Match` names."
_FRAMEWORKS: Final = "HTTPValidationError"
"""What FastAPI would answer; here it is a problem as well."""
_METHODS: Final = {"get", "head", "post", "put", "patch", "delete"}


def declare_refusals(document: dict[str, Any]) -> None:
    """Add them to every operation, in place; what a route says itself is left as it is."""
    for operations in document["paths"].values():
        for method in _METHODS & operations.keys():
            statuses = [400, 422]  # another server's name; a parameter that is not known
            if "requestBody" in operations[method]:
                statuses += [408, 413, 415]
            told: dict[str, Any] = operations[method]["responses"]
            if _FRAMEWORKS in str(told.get("422")):
                del told["422"]
            if method == "get" and not _IS_ALWAYS_NEW & set(operations[method]["tags"]):
                told.setdefault("304", {"description": _UNCHANGED})
            for status, words in problems(*statuses).items():
                said = {key: words[key] for key in ("description", "content")}
                told.setdefault(str(status), said)
    for told in document.get("webhooks", {}).values():
        told["post"]["responses"].pop("422", None)  # a receiver's answers are its own
    for name in (_FRAMEWORKS, "ValidationError"):
        document["components"]["schemas"].pop(name, None)
