"""Kubeflow's own local runner, run by its own Python: kubeflow_stage.py URL ONCE SPEC."""

import json
import sys

from distil_pipeline import distil
from kfp import local

local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root="outputs")
url, once, spec = sys.argv[1:]
task = distil(url=url, once=once, spec=spec)
told = {name: one if isinstance(one, str) else one.path for name, one in task.outputs.items()}
print(f"\n{json.dumps(told)}")  # noqa: T201 - the answer
