"""The API never imports torch: it starts, and describes itself, where torch is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "onnx", "onnxruntime", "sklearn"}:
            raise ModuleNotFoundError(f"{name} must not be imported by the API", name=name)

sys.meta_path.insert(0, NoTorch())

from api.app import create_app
from api.__main__ import main
from jobs.settings import Settings
from jobs.spec import JobSpec

app = create_app(Settings(data=sys.argv[1]))
assert "/v1/jobs" in app.openapi()["paths"]
JobSpec.model_validate({"teacher": "plain_cnn", "student": "mlp", "data": "digits"}).recipe()
assert "torch" not in sys.modules
print("without torch")
"""


def test_the_api_starts_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "without torch\n"
    assert not list(tmp_path.iterdir()), "building the app must not touch the disk"
