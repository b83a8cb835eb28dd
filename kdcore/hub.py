"""What may be read of a network of transformers: settings of an architecture, and numbers.

Neither code nor pickles: such a folder is refused, and so are settings by which the library would
load code or weights from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, cast

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from kdcore.errors import RecipeError

IMAGES: Final = frozenset(
    {
        *("beit", "bit", "convnext", "convnextv2", "data2vec-vision", "deit", "dinov2"),
        *("dinov2_with_registers", "efficientnet", "focalnet", "hiera", "levit", "mobilenet_v1"),
        *("mobilenet_v2", "mobilevit", "mobilevitv2", "poolformer", "pvt", "pvt_v2", "regnet"),
        *("resnet", "swiftformer", "swin", "swinv2", "vit", "vit_msn"),
    }
)
"""Values of `model_type` that classify images."""
TEXTS: Final = frozenset(
    {
        *("albert", "bert", "camembert", "distilbert", "electra", "ernie", "mobilebert"),
        *("modernbert", "roberta", "xlm-roberta"),
    }
)
"""Those that classify texts: encoders."""
ARCHITECTURES: Final = IMAGES | TEXTS
"""All that are built: networks of one piece, which fetch nothing themselves."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"
IDS: Final = ("vocab_size", "pad_token_id")
"""Settings of a text encoder that belong to its tokenizer."""
_OURS: Final = {
    *("attn_implementation", "auto_map", "dtype", "id2label", "label2id", "num_labels"),
    *("output_attentions", "output_hidden_states", "problem_type", "quantization_config"),
    *("return_dict", "torch_dtype", "transformers_version", "transformers_weights", "use_cache"),
}
"""Settings that are not the architecture's: the data's, ours, or ways to load other code."""
_UNSAFE: Final = {".bin", ".ckpt", ".h5", ".msgpack", ".pickle", ".pkl", ".pt", ".pth", ".py"}
_DEEPEST = 512
_CONFIG_BYTES = 2**20

_MOST = 65_536
_LONGEST, _ITEMS = 200, 64


def _one_error(value: object, validate: ValidatorFunctionWrapHandler) -> Any:
    """Say in one sentence what all the forms say each."""
    try:
        return validate(value)
    except ValidationError:
        raise PydanticCustomError(
            "setting_invalid",
            "found {value}; expected a number within {most}, a text of up to {longest} characters, "
            "or a list of up to {items} of these",
            {"value": repr(value)[:80], "most": _MOST, "longest": _LONGEST, "items": _ITEMS},
        ) from None


Number: TypeAlias = (
    bool | Annotated[int, Field(ge=-_MOST, le=_MOST)] | Annotated[float, Field(ge=-_MOST, le=_MOST)]
)
Scalar: TypeAlias = Number | Annotated[str, Field(max_length=_LONGEST)] | None
Row: TypeAlias = Annotated[list[Scalar], Field(max_length=_ITEMS)]
Setting: TypeAlias = Annotated[
    Scalar | Annotated[list[Scalar | Row], Field(max_length=_ITEMS)], WrapValidator(_one_error)
]


def _sensible(settings: dict[str, Setting]) -> dict[str, Setting]:
    for name, value in settings.items():
        if name in _OURS or name.startswith("_"):
            raise PydanticCustomError(
                "setting_refused",
                "found {name} in the settings of a network; expected those of its architecture "
                "alone: classes come from the data",
                {"name": repr(name)},
            )
        sizes = cast("list[object]", value) if isinstance(value, list) else [value]
        deep = "depths" in name or "layers" in name
        if deep and any(isinstance(one, int) and one > _DEEPEST for one in sizes):
            raise PydanticCustomError(
                "too_deep",
                "found {name} {value}; expected at most {most} layers",
                {"name": name, "value": str(value), "most": _DEEPEST},
            )
    if (kind := settings.get("model_type")) not in ARCHITECTURES:
        raise PydanticCustomError(
            "architecture_refused",
            "found model_type {kind}; expected one of {known}",
            {"kind": repr(kind), "known": ", ".join(sorted(ARCHITECTURES))},
        )
    return settings


Settings = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)], Setting],
    Field(min_length=1, max_length=100),
    AfterValidator(_sensible),
]
"""What a config.json says of an architecture: `model_type`, and its sizes."""
_SETTINGS: TypeAdapter[dict[str, Setting]] = TypeAdapter(Settings)


def classifier(kind: str) -> str:
    """Return the class of transformers that makes a classifier of a `model_type`."""
    task = "SequenceClassification" if kind in TEXTS else "ImageClassification"
    return f"AutoModelFor{task}"


def plain(settings: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the settings that say something of the architecture: labels are the data's."""
    return {name: value for name, value in settings.items() if not isinstance(value, dict)}


def read_config(folder: Path, shown: str) -> dict[str, JsonValue]:
    """Return what a folder's config.json says of the architecture.

    Raises:
        RecipeError: there is none, it is not to be trusted, or it is of an unknown architecture.
    """
    try:
        unsafe = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _UNSAFE)
        with (folder / CONFIG).open("rb") as file:
            content = file.read(_CONFIG_BYTES + 1)
        config = json.loads(content) if len(content) <= _CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(
            f"{shown}: no readable {CONFIG} in this folder of the inputs folder ({error})",
            hint="name a folder that save_pretrained wrote",
        ) from None
    if unsafe:
        raise RecipeError(
            f"{shown}: found {', '.join(unsafe[:5])}, which may run code; expected {CONFIG} and "
            f"{WEIGHTS} alone",
            hint="save the network anew with save_pretrained, into an empty folder",
        )
    if not isinstance(config, dict):
        raise RecipeError(f"{shown}/{CONFIG}: expected an object of at most {_CONFIG_BYTES} bytes")
    if "auto_map" in set(_keys(cast("object", config))):
        raise RecipeError(
            f"{shown}/{CONFIG}: found auto_map, which names code of its own; it is never run",
            hint="take an architecture that transformers itself has",
        )
    settings = {
        name: value
        for name, value in cast("dict[str, JsonValue]", config).items()
        if name == "id2label" or (name not in _OURS and not name.startswith("_"))
    }
    settings.pop("architectures", None)
    try:
        _SETTINGS.validate_python(plain(settings), strict=True)
    except ValidationError as error:
        told = error.errors()[0]
        place = f"{told['loc'][0]}: " if told["loc"] else ""
        raise RecipeError(
            f"{shown}/{CONFIG}: {place}{told['msg']}", hint="take another architecture"
        ) from None
    return settings


def _keys(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in cast("dict[str, object]", document).items():
            yield key
            yield from _keys(value)
    elif isinstance(document, list):
        for value in cast("list[object]", document):
            yield from _keys(value)
