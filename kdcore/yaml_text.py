"""Recipes as people write them: YAML with JSON's values only."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, cast

import yaml

from kdcore.errors import RecipeError

MAX_YAML_BYTES = 1_048_576


class _Loader(yaml.SafeLoader):
    """No aliases, no key twice, no dates, and 1e-3 a number."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # A few hundred bytes of aliases can unfold to gigabytes.
            raise RecipeError("found a YAML alias; write the value out instead")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            place = f"line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise RecipeError(f"{place}: found a key that is no word; expected a word")
            if key.value in seen:
                raise RecipeError(f"{place}: found the key {key.value!r} a second time")
            seen.add(key.value)
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


def read_yaml(text: str | bytes) -> object:
    """Read YAML or JSON text.

    Raises:
        RecipeError: it is not readable, too long, has an alias, or names a key twice.
    """
    if len(text) > MAX_YAML_BYTES:
        raise RecipeError(f"found {len(text)} bytes; expected at most {MAX_YAML_BYTES}")
    try:
        return cast("object", yaml.load(text, Loader=_Loader))  # noqa: S506  # a safe one
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RecipeError(f"not readable as YAML: {error}") from None
