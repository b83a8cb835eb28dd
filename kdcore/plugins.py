"""Entries that an operator has installed as packages of their own, found by their entry points.

A plug-in is code, and runs with the rights of whoever installs it; a spec can name its entries, and
never install one. One that is broken is told by name and left out: nothing else stops for it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from kdcore.entry import Entry

E = TypeVar("E", bound=Entry)
_LOG = logging.getLogger(__name__)
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an entry of a plug-in is left out."""

    name: str
    """Of the entry point."""
    package: str
    message: str


@dataclass(slots=True)
class Plugins(Generic[E]):
    """What was found."""

    entries: dict[str, type[E]] = field(default_factory=dict[str, type[E]])
    packages: dict[str, str] = field(default_factory=dict[str, str])
    """Where each is from: name and version of the package."""
    faults: list[Fault] = field(default_factory=list[Fault])


def plugged_in(group: str, contract: type[E], taken: Collection[str]) -> Plugins[E]:
    """Load the entry points of a group, which name subclasses of `contract`, and tell the faults.

    Names in `taken` are ours: no plug-in takes the place of what is there.
    """
    found: Plugins[E] = Plugins()
    for point in sorted(entry_points(group=group), key=lambda one: (one.name, one.value)):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
        try:
            entry = _loaded(point, contract, {*taken, *found.entries})
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plug-in may do anything
            told = f"{type(error).__name__}: {error}".partition("\n")[0][:_SHOWN]
            found.faults.append(Fault(point.name, package, told))
            _LOG.warning("plug-in %s of %s is left out: %s", point.name, package, told)
        else:
            found.entries[point.name], found.packages[point.name] = entry, package
    return found


def _loaded(point: EntryPoint, contract: type[E], taken: Collection[str]) -> type[E]:
    """Load one, and try what is done with every entry.

    Raises:
        Exception: whatever the plug-in raises, or what is wrong with its entry.
    """
    entry: object = point.load()
    if not isinstance(entry, type) or not issubclass(entry, contract) or entry is contract:
        raise TypeError(f"found {point.value}, which is no subclass of {contract.__name__}")
    name = entry.model_fields["name"].default
    if name != point.name:
        raise ValueError(f"found name {name!r} in {point.value}; expected {point.name!r}")
    if clash := sorted({name, *entry.known} & {*taken}):
        raise ValueError(
            f"found the name {clash[0]!r}, which another entry has; expected a new one"
        )
    entry.model_json_schema()
    for fields in entry.known.values():
        entry.model_validate({**fields})
    return entry
