"""Specs from files: YAML or JSON, and `--set path=value` on top."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, cast

import yaml

from stillhouse.errors import SpecError


class _Loader(yaml.SafeLoader):
    """YAML with JSON's values only: no dates, no aliases, no key twice, and 1e-3 a number."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise SpecError("aliases (*name) are not read; write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set[Any]()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise SpecError(f"line {line}: a key must be a word")
            if key_node.value in seen:
                raise SpecError(f"line {line}: {key_node.value!r} stands here a second time")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag.rpartition(":")[2] in {"bool", "null"}]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# Numbers as in JSON: YAML 1.1 takes 1e-3 for a word, 010 for eight and 1:30 for ninety.
_NUMBERS = {
    "int": r"[-+]?(?:0|[1-9][0-9]*)$",
    "float": (
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|nan))$"
    ),
}
for _kind, _form in _NUMBERS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(_form), list("-+.0123456789")
    )


def read_spec(source: str, changes: Iterable[str] = ()) -> dict[str, Any]:
    """Return the spec in the file `source` (`-`: standard input) with the changes made.

    Raises:
        SpecError: the file cannot be read, is no YAML or JSON mapping, or a change has no place.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read {source}: {error}") from error
    document = parse(text, source)
    if not isinstance(document, dict):
        found = "nothing" if document is None else f"a {type(document).__name__}"
        raise SpecError(f"{source}: found {found}, expected a mapping such as `method: kd`")
    spec = cast("dict[str, Any]", document)
    for change in changes:
        apply(spec, change)
    return spec


def parse(text: str, source: str = "value") -> object:
    """Return what YAML or JSON text says.

    Raises:
        SpecError: it is neither.
    """
    try:
        if text.lstrip().startswith("{"):
            try:
                return json.loads(text)
            except ValueError:
                # A YAML flow mapping may begin like this too.
                pass
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"{source}: no YAML and no JSON: {error}") from error


def apply(spec: dict[str, Any], change: str) -> None:
    """Make one change `path=value` in the spec: `training.epochs=5`, `seeds=[0,1]`, `gates.0=…`.

    The value is read as YAML. Missing mappings on the way are made; a number is a list's index,
    and the index one past the end appends.

    Raises:
        SpecError: no `=`, or the path leads through a value that holds nothing.
    """
    path, equals, text = change.partition("=")
    if not equals or not path:
        raise SpecError(f"--set {change}: expected path=value, as in training.epochs=5")
    value = parse(text, f"--set {change}")
    place: object = spec
    *steps, last = path.split(".")
    for depth, step in enumerate(steps):
        place = _into(place, step, ".".join(steps[:depth]), change)
    _put(place, last, value, ".".join(steps), change)


def _into(place: object, step: str, so_far: str, change: str) -> object:
    if isinstance(place, dict):
        return cast("dict[str, Any]", place).setdefault(step, {})
    if isinstance(place, list):
        items = cast("list[Any]", place)
        return items[_index(step, len(items) - 1, so_far, change)]
    raise _no_place(place, so_far, change)


def _put(place: object, step: str, value: object, so_far: str, change: str) -> None:
    if isinstance(place, dict):
        cast("dict[str, Any]", place)[step] = value
    elif isinstance(place, list):
        items = cast("list[Any]", place)
        index = _index(step, len(items), so_far, change)
        items[index : index + 1] = [value]
    else:
        raise _no_place(place, so_far, change)


def _index(step: str, highest: int, so_far: str, change: str) -> int:
    if not step.isdecimal() or int(step) > highest:
        raise SpecError(
            f"--set {change}: {so_far} is a list; found {step!r}, expected 0 to {highest}"
        )
    return int(step)


def _no_place(found: object, so_far: str, change: str) -> SpecError:
    return SpecError(
        f"--set {change}: {so_far} is {json.dumps(found)}, which holds no fields; "
        f"write the whole of it, as in --set '{so_far}={{name: …}}'"
    )
