"""What an entry of the catalogue is, and how a folder of entries becomes a part of the recipe.

Each axis has a contract (`objective.py`) and a folder of entries (`objectives/`). A file that is
put into the folder is found by `discover`, joins the recipe's schema through `OneOf`, and needs no
other edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Record(BaseModel):
    """A part of a recipe: typed strictly, complete, closed to unknown keys, and never changed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class Entry(Record):
    """One named choice on an axis; `name` tells it from its siblings."""

    name: str

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {}
    """Settings that have a name of their own in the field, such as `resnet56`."""
    tasks: ClassVar[frozenset[str] | None] = None
    """Names of the tasks in which the entry has a meaning; None where nobody has said so."""

    extra: ClassVar[str | None] = None
    """What must be installed beside the engine where it runs: one of the package's extras."""

    @classmethod
    def serves(cls, task: str) -> bool:
        """Return whether the entry has a meaning in a task: in every one, unless it says others."""
        return cls.tasks is None or task in cls.tasks

    def extras(self) -> frozenset[str]:
        """Return all that must be installed for it as it is set."""
        return frozenset({self.extra} if self.extra else ())


E = TypeVar("E", bound=Entry)


def discover(*packages: str, contract: type[E]) -> dict[str, type[E]]:
    """Return the entries of folders by name: every subclass of `contract` that the files define.

    A class whose name begins with an underscore is left out.

    Raises:
        TypeError: two entries bear the same name.
    """
    found: dict[str, type[E]] = {}
    for module in (module for package in packages for module in _files(package)):
        for value in vars(module).values():
            if not isinstance(value, type) or value.__module__ != module.__name__:
                continue
            if value.__name__.startswith("_"):
                continue  # a file's own: not for recipes
            if issubclass(value, contract) and value is not contract:
                name = value.model_fields["name"].default
                if name in found:
                    raise TypeError(f"{module.__name__}: two entries are named {name!r}")
                found[name] = value
    return found


def _files(package: str) -> Iterator[ModuleType]:
    folder = importlib.import_module(package)
    for file in sorted(pkgutil.iter_modules(folder.__path__), key=lambda file: file.name):
        yield importlib.import_module(f"{package}.{file.name}")


class OneOf:
    """Marks a field as one entry of a folder, told apart by `name`.

    A bare string stands for the entry of that name with its defaults, or for settings that are
    known by that name. These may also stand in the place of the name, with other fields beside it.
    Where `number` names an entry, a bare number is the `value` of that entry.
    """

    def __init__(self, entries: Mapping[str, type[Entry]], *, number: str | None = None) -> None:
        """Offer `entries`; `number` is the entry that a bare number stands for."""
        self._entries = entries
        self._number = number
        self._known = {
            label: {"name": name, **fields}
            for name, entry in entries.items()
            for label, fields in entry.known.items()
        }

    def _spell_out(self, value: object) -> object:
        if isinstance(value, str):
            return self._known.get(value, {"name": value})
        if self._number and isinstance(value, int | float) and not isinstance(value, bool):
            return {"name": self._number, "value": value}
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, object]", value)
        known = self._known.get(name) if isinstance(name := fields.get("name"), str) else None
        return {**known, **fields, "name": known["name"]} if known else fields

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Build a union told apart by `name`, whatever entries the folder holds."""
        choices = {name: handler.generate_schema(entry) for name, entry in self._entries.items()}
        union = core_schema.tagged_union_schema(choices, discriminator="name")
        return core_schema.no_info_before_validator_function(self._spell_out, union)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the union, and beside it the short forms."""
        short = [
            name
            for name, entry in self._entries.items()
            if not any(field.is_required() for field in entry.model_fields.values())
        ]
        short += self._known
        union = {**handler(schema), "required": ["name"]}
        forms: list[JsonSchemaValue] = [union, {"type": "string", "enum": short}]
        if self._number:
            forms.append({"type": "number"})
        return {"anyOf": forms}
