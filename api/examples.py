"""The examples that the OpenAPI document shows for a spec; a test submits each of them."""

from __future__ import annotations

from typing import Any, Final

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "smallest": {
        "summary": "The least that can be said: everything else has a default",
        "value": {"teacher": "plain_cnn", "student": "mlp", "data": "digits"},
    },
    "digits": {
        "summary": "A small student that learns from 100 labels and from its teacher's answers",
        "value": {
            "name": "digits",
            "labels": {"team": "vision"},
            "teacher": {
                "model": {"name": "plain_cnn", "stages": [[32], [64]], "hidden": [144]},
                "training": {"max_steps": 300, "learning_rate": 0.05},
            },
            "student": {"model": {"name": "mlp", "hidden": [32]}},
            "data": {"name": "digits", "labelled": 100, "validation_size": 97},
            "method": "kd",
            "training": {"max_steps": 1500, "learning_rate": 0.05},
            "seeds": [0, 1, 2, 3, 4],
            "gates": ["student.accuracy >= 0.95", "retention >= 0.96", "size_mb <= 0.1"],
        },
    },
    "method_with_parameters": {
        "summary": "Another method, with a parameter of its own",
        "value": {
            "teacher": "plain_cnn",
            "student": "mlp",
            "data": "digits",
            "method": {"name": "dkd", "beta": 2.0},
        },
    },
    "axes": {
        "summary": "The axes written out: what is compared, how softly, by which path",
        "value": {
            "teacher": "plain_cnn",
            "student": "mlp",
            "data": "digits",
            "objectives": [{"name": "cross_entropy", "weight": 0.5}, {"name": "kd", "weight": 0.5}],
            "temperature": 6.0,
            "path": "direct",
        },
    },
}

SUBMIT_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        media_type: {"schema": {"$ref": "#/components/schemas/JobSpec"}, "examples": EXAMPLES}
        for media_type in ("application/json", "application/yaml")
    },
}
