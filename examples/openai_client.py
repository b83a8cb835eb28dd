"""A digit reader, distilled through the official openai client.

    python examples/openai_client.py http://127.0.0.1:8000 out/openai

Uploads scikit-learn's digits, posts a fine-tuning job, tells what happens in it, and downloads what
it delivered. The key of the server, if it asks for one, is STILLHOUSE_API_KEY.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

from digit_files import write_arrays
from openai import OpenAI

DISTILLATION = {
    "teacher": {
        "model": {"name": "plain_cnn", "stages": [[16], [32]], "hidden": [64]},
        "training": {"max_steps": 100, "learning_rate": 0.05},
    },
    "method": "kd",
    "training": {"max_steps": 200, "learning_rate": 0.01},
    "seeds": [0, 1],
}


def main(server: str, folder: Path) -> int:
    """Return 0 where the student is there, and every file is what it should be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / "digits.npz")
    key = os.environ.get("STILLHOUSE_API_KEY", "none")
    with OpenAI(base_url=f"{server}/v1", api_key=key) as client:
        data = client.files.create(file=folder / "digits.npz", purpose="fine-tune")
        job = client.fine_tuning.jobs.create(
            model="mlp",
            training_file=data.id,
            method={"type": "distillation", "distillation": DISTILLATION},
            suffix="digits by openai",
            metadata={"from": "openai"},
        )
        told: set[str] = set()
        while job.status not in {"succeeded", "failed", "cancelled", "paused"}:
            time.sleep(0.5)
            job = client.fine_tuning.jobs.retrieve(job.id)
            news = client.fine_tuning.jobs.list_events(job.id, limit=50).data
            for event in reversed([one for one in news if one.id not in told]):
                sys.stdout.write(f"{event.level:5} {event.message}\n")
                told.add(event.id)
        sys.stdout.write(f"{job.status} {job.fine_tuned_model} {job.error or ''}\n")
        for file_id in job.result_files:
            file = client.files.retrieve(file_id)
            content = client.files.content(file_id).read()
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise SystemExit(f"{file.filename} was changed on its way")
            (folder / file.filename).write_bytes(content)
            sys.stdout.write(f"{file.filename} {file.bytes} bytes\n")
    return 0 if job.status == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].rstrip("/"), Path(sys.argv[2])))
