"""What a form of ours has sent."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from api.bodies import Body
from api.problems import PayloadProblem
from api.schemas import FieldError

_MOST: Final = 200


def fields_of(body: Body) -> dict[str, list[str]]:
    """Return the values of each field; one that was left empty is not among them.

    Raises:
        PayloadProblem: there are more than any form of ours has.
    """
    try:
        return parse_qs(body.content.decode("utf-8", "replace"), max_num_fields=_MOST)
    except ValueError:
        found = f"found more than {_MOST} fields; expected what a page of this server sends"
        raise PayloadProblem(
            [FieldError(pointer="", code="too_many_fields", message=found)]
        ) from None
