"""Who asks: found out once, at the door, and carried through the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope as AsgiScope

from api.problems import Problem
from jobs.audit import Author
from jobs.keys import Scope

COOKIE: Final = "stillhouse_session"
"""Holds a browser's key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request, as far as the door knows them."""

    project: str
    """The project that the request is about."""
    scope: Scope
    is_house: bool
    """Whether every project is theirs: a key of the house, or a house that asks for no key."""
    author: Author

    @property
    def is_admin(self) -> bool:
        """Whether they may change more than jobs."""
        return self.scope.includes(Scope.ADMIN)

    def require(self, scope: Scope) -> None:
        """Refuse what the key is not good for.

        Raises:
            Problem: 403; it names the scope that is wanted.
        """
        if not self.scope.includes(scope):
            raise Problem(
                403,
                "scope_missing",
                f"found a key with the scope {self.scope.value}; expected {scope.value}",
                hint="use another key, or have one made: stillhouse keys create",
            )

    def require_house(self) -> None:
        """Refuse whoever has the key of one project only.

        Raises:
            Problem: 403.
        """
        if not self.is_house:
            raise Problem(
                403,
                "house_key_required",
                f"found a key of the project {self.project}; expected a key of the house, since"
                " this concerns all projects",
                hint="the operator makes one: python -m jobs.make_key --house",
            )


def caller_of(scope: AsgiScope) -> Caller:
    """Return who sends a request; the door has let nobody pass without."""
    caller: Caller = scope["state"]["caller"]
    return caller


def author_of(scope: AsgiScope) -> Author:
    """Return from where a request comes, before it is known from whom."""
    address = scope["client"][0] if scope.get("client") else None
    return Author(address=address, request_id=scope["state"]["request_id"])
