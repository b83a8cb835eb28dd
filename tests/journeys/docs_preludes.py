"""What stands around the blocks of a page when they are run: real names for made-up ones."""

from __future__ import annotations

from typing import Any, Final

TINY: Final[dict[str, Any]] = {
    "name": "tiny",
    "teacher": {"model": {"name": "mlp", "hidden": [16]}, "training": {"max_steps": 40}},
    "student": {"model": {"name": "mlp", "hidden": [8]}},
    "data": {"name": "digits", "labelled": 100},
    "training": {"max_steps": 40},
}
"""In the place of `spec.yaml` and of `examples/digits.yaml`, which the demo trains for a minute."""
LONG: Final = "stillhouse submit spec.yaml --set training.max_steps=1000000"
FIRST_KEY: Final = """'import json, sys; print(json.load(sys.stdin)[0]["id"])'"""
BEFORE: Final[dict[str, dict[str, str]]] = {
    "README.md": {
        "stillhouse pause": f"ENDED=$JOB JOB=$({LONG})",
        "stillhouse clone": "JOB=$ENDED",
    },
    "docs/access.md": {
        "export STILLHOUSE_API_KEY": "shk=$(grep -o 'shk_.*' said)",
        "stillhouse keys list": f"KEY=$(stillhouse keys list --json | python -c {FIRST_KEY})",
    },
    "docs/deliveries.md": {
        "python -m kdcore spec.lock": "stillhouse download $JOB --out kept; cp kept/spec.lock .",
    },
    "docs/inputs.md": {
        "split -b": "PART_BYTES=1000000 ID=$(grep -o 'upl_[^\"]*' said)",
        "stillhouse datasets report dataset:ds_… --set data.label": "ds=$TABLE",
    },
    "docs/operating.md": {
        "python -m jobs.backup": 'mkdir backup; ln -s "$STILLHOUSE_DATA" stillhouse-data',
    },
    "docs/pipelines.md": {
        "JOB=": "RUN_ID=1234",
        "stillhouse export": "export WANDB_MODE=offline",
    },
    "docs/sweeps.md": {
        "stillhouse sweeps leaderboard": "swp=$(stillhouse sweeps list | grep -o -m 1 'swp_[^ ]*')",
        "stillhouse sweeps cancel": "swp=$(stillhouse sweeps submit sweep.yaml)",
        "stillhouse sweeps find": "mv without_student.yaml spec.yaml",
    },
    "docs/webhooks.md": {
        "stillhouse webhooks test": "whk=$WEBHOOK",
        "stillhouse webhooks redeliver": "msg=$(grep -o -m 1 'msg_[^ ]*' said)",
    },
}
"""Bash that runs before the first line of a page that begins so; what was printed is in `said`."""
INSTEAD: Final[dict[str, str]] = {
    "/backup": "backup",
    "4f1c0a9b3d27": "$KEY",
    '"data": "digits"': '"data": "digits", "training": {"max_steps": 20}',
    '("kd", "dkd", "dist")': '("kd", "dkd")',
    "[1, 2, 4, 8]": "[1, 2]",
    "--candidates 8": "--candidates 2",
}
"""Names and sizes that are others here."""
IN_PYTHON: Final[dict[str, str]] = {
    "docs/models.md": (
        "from kdcore.vision import import_timm\n"
        "timm = import_timm()\n"
        "made = timm.create_model('mobilenetv3_small_050', num_classes=10, in_chans=1)\n"
        "timm.models.save_for_hf(made, 'folder')\n"
    ),
    "docs/sweeps.md": f"spec = {TINY!r}\n",
}
"""For a page, Python in front of its blocks."""
FRAMES: Final[dict[str, dict[str, Any]]] = {
    "spec": {"teacher": "plain_cnn", "student": "mlp", "data": "digits"},
    "sweep": {"spec": TINY, "space": {"/temperature": [1, 2]}},
}
"""What a part stands in: its own fields win."""
