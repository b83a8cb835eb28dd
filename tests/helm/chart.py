"""The chart, rendered by Helm itself, which needs neither its program nor a cluster for it.

Helm runs in a process of its own: it is written in Go, and a Go runtime in the tests' process would
bring its threads and its signal handlers into tests that fork.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

CHART: Final = Path(__file__).parents[2] / "deploy" / "helm" / "stillhouse"
RELEASE: Final = "house"
NAMESPACE: Final = "distilling"
_HELM: Final = """
import json, sys
import helm_python as helm

chart = helm.Chart.load(sys.argv[1])
for line in sys.stdin:
    order = json.loads(line)
    answer = {"lint": helm.lint(sys.argv[1], order["values"], strict=True)}
    try:
        answer["files"] = chart.render(
            order["values"], name=order["release"], namespace=order["namespace"], is_install=True
        )
    except helm.HelmError as error:
        answer["error"] = str(error)
    print(json.dumps(answer), flush=True)
"""

Document = dict[str, Any]
Values = dict[str, Any]


class RefusedError(AssertionError):
    """Helm refuses the values."""


def rendered(values: Values | None = None, release: str = RELEASE) -> dict[str, str]:
    """Return the text of each rendered file, by the path of its template.

    Raises:
        RefusedError: the values do not fit the schema, or a template refuses them.
    """
    answer = json.loads(_ask(json.dumps(values or {}), release))
    if "error" in answer:
        raise RefusedError(answer["error"])
    assert answer["lint"]["errors"] == []
    assert [one for one in answer["lint"]["messages"] if one["severity"] > 1] == []
    files: dict[str, str] = answer["files"]
    return {path.removeprefix("stillhouse/templates/"): text for path, text in files.items()}


def documents(values: Values | None = None) -> list[Document]:
    """Return what would be applied."""
    made: list[Document] = json.loads(_read(json.dumps(values or {})))
    return made


def found(kind: str, end: str, values: Values | None = None) -> Document:
    """Return the one document of a kind whose name ends so."""
    fitting = [
        one
        for one in documents(values)
        if one["kind"] == kind and str(one["metadata"]["name"]).endswith(end)
    ]
    assert len(fitting) == 1, (kind, end, [one["metadata"]["name"] for one in fitting])
    return fitting[0]


def pod_of(document: Document) -> Document | None:
    """Return the template of a document's pods, metadata with it; a Pod is its own."""
    match document["kind"]:
        case "Deployment" | "StatefulSet" | "Job":
            return document["spec"]["template"]
        case "ScaledJob":
            return document["spec"]["jobTargetRef"]["template"]
        case "Pod":
            return document
        case _:
            return None


def container(document: Document) -> Document:
    """Return the one container of a document's pods."""
    pod = pod_of(document)
    assert pod is not None
    (only,) = pod["spec"]["containers"]
    return only


def variables(document: Document) -> dict[str, Any]:
    """Return the variables of its container: a text, or what stands for one."""
    told = container(document)["env"]
    assert len({one["name"] for one in told}) == len(told)
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in told}


@cache
def _read(values: str) -> str:
    texts = [text for path, text in rendered(json.loads(values)).items() if path.endswith(".yaml")]
    return json.dumps([one for text in texts for one in yaml.safe_load_all(text) if one])


@cache
def _ask(values: str, release: str) -> str:
    helm = _helm()
    assert helm.stdin is not None
    assert helm.stdout is not None
    order = {"values": json.loads(values), "release": release, "namespace": NAMESPACE}
    helm.stdin.write(f"{json.dumps(order)}\n")
    helm.stdin.flush()
    answer = helm.stdout.readline()
    assert answer, "Helm has ended"
    return answer


@cache
def _helm() -> subprocess.Popen[str]:
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip("no Helm: helm-python-sdk has no wheel for this machine")
    helm = subprocess.Popen(
        [sys.executable, "-c", _HELM, str(CHART)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it tells that it followed the links of `files`
        text=True,
    )
    # It ends when nobody can ask any more.
    atexit.register(helm.communicate)
    return helm
