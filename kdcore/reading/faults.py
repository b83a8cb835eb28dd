"""What is named as a sample and cannot be used as one: always told, never passed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kdcore.errors import DataError

_OTHERS = 9


@dataclass(frozen=True, slots=True)
class Fault:
    """One of these."""

    name: str
    """The file, or the place in its file, as people find it."""
    reason: str
    """What was found; it follows the name in a sentence."""
    hint: str | None = None
    """The way out."""

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.name!r} {self.reason}"


def refuse(faults: Sequence[Fault]) -> None:
    """Raise for the first of some bad rows, and name the others; nothing where there are none.

    Raises:
        DataError: there are some.
    """
    if not faults:
        return
    first, *others = faults
    more = ""
    if others:
        named = "; ".join(one.name for one in others[:_OTHERS])
        rest = f" and {len(others) - _OTHERS} more" if len(others) > _OTHERS else ""
        rows = "row" if len(others) == 1 else "rows"
        more = f" (and {len(others)} more bad {rows}: {named}{rest})"
    raise DataError(f"{first.name}: {first.reason}{more}", hint=first.hint)
