"""A spec for each method that anybody can post: known networks, data that everybody has."""

from __future__ import annotations

from typing import Any

from kdcore.catalog import METHODS, describe, first_example


def example_of(name: str) -> dict[str, Any]:
    """Return a spec that asks for a method: known networks, data that everybody has."""
    required = first_example(METHODS[name])
    if describe("methods", METHODS[name])["needs_tokens"]:
        return {
            "name": f"{name} on made-up texts",
            "teacher": _encoder(4, 64),
            "student": _encoder(2, 32),
            "data": {"name": "synthetic_text", "validation_size": 97},
            "method": name,
            "training": {"optim": "adamw", "learning_rate": 0.001},
            "seeds": [0, 1, 2],
        }
    return {
        "name": f"{name} on handwritten digits",
        "teacher": "resnet56",
        "student": "resnet8",
        "data": {"name": "digits", "validation_size": 97},
        "method": {"name": name, **required} if required else name,
        "seeds": [0, 1, 2],
    }


def _encoder(layers: int, width: int) -> dict[str, Any]:
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 2 * width}
    config = {"model_type": "bert", "num_attention_heads": 2, **sizes}
    return {"model": {"name": "huggingface_config", "config": config}}
