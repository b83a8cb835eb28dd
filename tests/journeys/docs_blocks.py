"""Every fenced block of the documentation, and who runs it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RUNNERS: Final = {
    "action": "its inputs: tests/architecture; tests/journeys/test_github_action.py runs it",
    "airflow": "as the example's DAG has it: tests/journeys/test_airflow.py",
    "bench": "minutes of measuring, not run: tests/architecture looks for files and options",
    "cluster": "there is no cluster here: tests/helm/test_page.py renders what it would be told",
    "copy": "a file of examples/, word for word: tests/architecture",
    "drawing": "a drawing, whose files must be there: tests/architecture",
    "examples": "lines that need no server: tests/journeys/test_examples.py",
    "hosts": "needs a cluster: tests/journeys/test_pipelines.py runs what it would start",
    "layout": "how files of data lie: tests/architecture; tests/kdcore reads such files",
    "make": "tests/journeys/test_demo.py, tests/client/test_client_up.py; not the tests themselves",
    "message": "what a webhook is sent, beside a real one: tests/journeys/test_docs_blocks.py",
    "mlflow": "jobs are mirrored and read so: tests/journeys/test_mlflow.py",
    "openai": "tests/api/test_facade_page.py and tests/journeys/test_openai_client.py",
    "plugin": "an entry point: tests/architecture reads it",
    "python": "against a house in operation: tests/journeys/test_docs_blocks.py",
    "receiver": "a program that receives webhooks: tests/client/test_client_webhooks.py",
    "shell": "a page's in one bash: tests/journeys/test_docs_blocks.py",
    "spec": "posted with `dry_run`, a part in a whole one: tests/journeys/test_docs_blocks.py",
    "sweep": "as `spec`, for sweeps: tests/journeys/test_docs_blocks.py",
    "wheel": "made and installed so: tests/journeys/test_github_action.py",
    "values": "for the Helm chart, which takes them: tests/helm/test_page.py",
}
"""What a runner does, and which test it is."""
PAGES: Final = {
    "README.md": "make examples make shell shell python spec drawing drawing",
    "deploy/helm/stillhouse/README.md": "cluster",
    "docs/access.md": "shell shell",
    "docs/client.md": "python python",
    "docs/data.md": "examples examples examples layout spec layout spec "
    "spec spec spec spec spec examples spec examples spec",
    "docs/deliveries.md": "shell spec spec shell shell",
    "docs/index.md": "make shell shell spec",
    "docs/inputs.md": "shell spec spec python shell shell shell",
    "docs/kubernetes.md": "cluster values cluster values values cluster values values cluster",
    "docs/mlflow.md": "mlflow mlflow mlflow",
    "docs/models.md": "examples spec spec python plugin",
    "docs/openai.md": "openai openai",
    "docs/operating.md": "shell shell shell shell shell shell shell",
    "docs/performance.md": "bench",
    "docs/pipelines.md": "shell wheel action airflow hosts hosts shell",
    "docs/reliability.md": "make",
    "docs/results.md": "copy",
    "docs/sweeps.md": "sweep shell sweep shell python",
    "docs/tasks.md": "spec spec examples spec examples spec examples",
    "docs/webhooks.md": "shell receiver message python",
}
"""The runner of each block, in the order in which a page has them."""
GENERATED: Final = ("docs/methods/", "docs/http/")
"""Pages that code writes and tests of their own hold against it."""
EXAMPLE: Final = re.compile(r"python (-m kdcore )?(data )?examples/")
ELSEWHERE: Final = {
    "docker compose ": "needs Docker: tests/journeys/test_compose_commands.py runs this",
    "pip install ": "the tests' environment has it: tests/architecture",
    "stillhouse up": "does not end: tests/client/test_client_up.py",
    "stillhouse workers drain ": "ends the worker: tests/client/test_client_workers.py",
}
"""Lines of `shell` blocks that another test runs."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str
    runner: str | None
    """None where the page's row in `PAGES` has none for it."""

    def __str__(self) -> str:
        """Return where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Return its lines, what goes on over a line's end joined."""
        return [line for line in re.sub(r"\\\n *", "", self.text).splitlines() if line.strip()]


def blocks_of(page: str) -> list[Block]:
    """Return a page's blocks, from top to bottom."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fences = [
        *re.finditer(r"^( *)(`{3,})(\w*)[^`\n]*\n(.*?)^\1\2$", text, re.MULTILINE | re.DOTALL)
    ]
    runners: list[str | None] = [*PAGES.get(page, "").split()]
    runners += [None] * (len(fences) - len(runners))
    return [
        Block(page, text.count("\n", 0, fence.start()) + 1, fence[3], fence[4], runner)
        for fence, runner in zip(fences, runners, strict=False)
    ]


def pages() -> list[str]:
    """Return every page that somebody wrote, by its path in the repository."""
    tops = ("*.md", "client/**/*.md", "deploy/**/*.md", "docs/**/*.md", "examples/**/*.md")
    paths = {one.relative_to(ROOT).as_posix() for top in tops for one in ROOT.glob(top)}
    return sorted(path for path in paths if not path.startswith(GENERATED))


BLOCKS: Final = [block for page in pages() for block in blocks_of(page)]


def run_by(*runners: str) -> list[Block]:
    """Return the blocks of some runners."""
    return [block for block in BLOCKS if block.runner in runners]
