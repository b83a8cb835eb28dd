"""What a run of chaos came to, as JSON and as a part of a page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Told:
    """One run on one kind of database."""

    database: str
    seed: int
    command: str
    seconds: float = 0.0
    actions: list[dict[str, Any]] = field(default_factory=list)
    """Each with its fault, what it did, and its second."""
    kills: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    """Attempts by the reason of their end."""
    events: int = 0
    listeners: int = 0
    left_out: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """How often each fault was done."""
        return Counter(action["fault"] for action in self.actions)

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return asdict(self) | {"counts": dict(self.counts)}


def as_markdown(runs: Sequence[Told]) -> str:
    """Return a table with a column for each run."""
    rows: list[tuple[str, list[str]]] = [
        ("seed", [str(run.seed) for run in runs]),
        ("minutes of chaos", [f"{run.seconds / 60:.1f}" for run in runs]),
        ("kills", [str(run.kills) for run in runs]),
        ("faults in all", [str(len(run.actions)) for run in runs]),
    ]
    faults = sorted({name for run in runs for name in run.counts})
    rows += [(f"… {name}", [str(run.counts[name] or "-") for run in runs]) for name in faults]
    rows += [
        ("jobs accepted", [str(sum(run.statuses.values())) for run in runs]),
        ("… ended", [_listed(run.statuses) for run in runs]),
        ("attempts", [str(sum(run.attempts.values())) for run in runs]),
        ("… ended as", [_listed(run.attempts) for run in runs]),
        ("events, all numbered without a gap", [str(run.events) for run in runs]),
        ("listeners over a dying API", [str(run.listeners) for run in runs]),
        ("**violations**", [f"**{len(run.violations)}**" for run in runs]),
    ]
    head = ["", *(run.database for run in runs)]
    lines = [head, ["---", *("---:" for _ in runs)], *([name, *cells] for name, cells in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
