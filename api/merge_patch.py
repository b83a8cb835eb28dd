"""JSON merge patches (RFC 7396)."""

from __future__ import annotations

from typing import Any, Final, cast

MEDIA_TYPE: Final = "application/merge-patch+json"


def merged(target: object, patch: object) -> object:
    """Return what the patch makes of a document; neither is changed.

    A member that is null goes, one that is an object is merged, anything else takes its place.
    """
    if not isinstance(patch, dict):
        return patch
    members = dict(cast("dict[str, object]", target)) if isinstance(target, dict) else {}
    for name, value in cast("dict[str, object]", patch).items():
        if value is None:
            members.pop(name, None)
        else:
            members[name] = merged(members.get(name), value)
    return members


def patch_body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """Return OpenAPI's description of a body that is a merge patch, and may be left out."""
    content = {"schema": schema, "example": example}
    return {"content": dict.fromkeys((MEDIA_TYPE, "application/json"), content)}
