"""A worker for tests: claims, reports, delivers and settles as a real one, but trains nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.artifacts import ArtifactStore, Delivery
from jobs.database import Database
from jobs.endings import Ending, Failure
from jobs.leases import Claim
from jobs.repository import Repository
from jobs.states import Status
from kdcore.events import EVENT
from kdcore.measures import FormTold, Timing
from kdcore.quality import Bin, Calibration, ClassQuality, ClassScore
from kdcore.reporting.pareto import points
from kdcore.reporting.record import Report, StageTold
from kdcore.verdict import Measured, Sample, Verdict, reach_verdict

SEEDS = (0, 1, 2)
PLAN = [("teacher", "teacher", 0, 300)] + [
    (f"{role}-{seed}", role, seed, 600)
    for seed in SEEDS
    for role in ("student", "baseline", "hard_labels")
]
_ENDS = {"teacher": 0.991, "student": 0.968, "baseline": 0.896, "hard_labels": 0.962}


class StageWorker:
    """Plays attempts, event by event, as a supervisor writes down what a trainer reports."""

    def __init__(self, database: Database, store: ArtifactStore, files: Path) -> None:
        """Deliver files from the folder `files`."""
        self._database = database
        self._store = store
        self._files = files
        self._batch = 0
        self.claim: Claim | None = None

    @property
    def claimed(self) -> Claim:
        """The attempt that is being played."""
        assert self.claim is not None
        return self.claim

    def greet(self, about: Mapping[str, Any] | None = None) -> None:
        """Say that a worker is there, and what it computes with."""
        with self._database.write() as session:
            Repository(session).greet("stage-worker", 1, about)

    def begin(self) -> Claim:
        """Claim the best waiting job."""
        with self._database.write() as session:
            self.claim = Repository(session).claim("stage-worker", 60.0)
        self._batch = 0
        return self.claimed

    def report(self, *events: Mapping[str, Any]) -> None:
        """Write one batch of events, each checked to be one that the engine could send."""
        checked = [EVENT.validate_python(dict(event)).model_dump(mode="json") for event in events]
        self._batch += 1
        with self._database.write() as session:
            Repository(session).record(
                self.claimed.job_id, self.claimed.attempt, checked, batch=self._batch
            )

    def start(self, plan: Sequence[tuple[str, str, int, int]] = PLAN) -> None:
        """Report the plan of the run."""
        stages = [
            {"name": name, "role": role, "seed": seed, "total_steps": steps, "teachers": []}
            for name, role, seed, steps in plan
        ]
        self.report(
            {
                "type": "run.started",
                "stages": stages,
                "device": "cpu",
                "threads": 1,
                "versions": {},
            },
            {"type": "phase", "phase": "training"},
        )

    def train(self, place: int, *, until: float = 1.0) -> None:
        """Report one stage of the plan, or a share of it."""
        name, role, seed, total = PLAN[place]
        steps = [step for step in range(10, total + 1, 10) if step <= total * until]
        end = _ENDS[role] + 0.004 * math.sin(7 * seed + len(role))
        accuracy = [end - 0.85 * math.exp(-5 * step / total) for step in steps]
        loss = [0.05 + 2.2 * math.exp(-6 * s / total) * (1 + 0.15 * math.sin(s)) for s in steps]
        percent = 100 * (place + until) / len(PLAN)
        self.report(
            {
                "type": "stage.started",
                "stage": name,
                "role": role,
                "seed": seed,
                "step": 0,
                "total_steps": total,
                "parameters": 2410,
            },
            {
                "type": "metrics",
                "stage": name,
                "seed": seed,
                "columns": {
                    "step": steps,
                    "loss": loss,
                    "learning_rate": [0.05] * len(steps),
                    "validation/accuracy": [
                        value if step % 50 == 0 else None
                        for step, value in zip(steps, accuracy, strict=True)
                    ],
                },
            },
            {
                "type": "stage.progress",
                "stage": name,
                "role": role,
                "seed": seed,
                "step": steps[-1],
                "total_steps": total,
                "epoch": steps[-1] / 19,
                "samples_per_second": 52_300.0,
                "eta_seconds": 1.5,
                "percent": percent,
                "run_eta_seconds": 12.0 * (1 - percent / 100),
                "metrics": {"loss": loss[-1], "accuracy": accuracy[-1]},
                "memory_bytes": 345_600_000,
            },
        )
        if until >= 1:
            self.report(
                {"type": "checkpoint", "stage": name, "seed": seed, "step": total},
                {
                    "type": "stage.finished",
                    "stage": name,
                    "role": role,
                    "seed": seed,
                    "step": total,
                    "seconds": 1.25,
                    "scores": {"accuracy": end, "loss": 0.1},
                },
            )

    def deliver(self, name: str, content: bytes, kind: str = "student") -> tuple[Delivery, str]:
        """Put a file into the store; return what `succeed` attaches."""
        self._files.mkdir(parents=True, exist_ok=True)
        source = self._files / name
        source.write_bytes(content)
        delivery = Delivery(
            name=name,
            kind=kind,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            media_type="text/markdown" if name.endswith(".md") else "application/octet-stream",
        )
        return delivery, self._store.put(
            self.claimed.job_id, self.claimed.attempt, delivery, source
        )

    def succeed(
        self, deliveries: Sequence[tuple[Delivery, str]] = (), found: Verdict | None = None
    ) -> None:
        """End the job well."""
        told = (found or verdict()).model_dump(mode="json")
        self.report({"type": "verdict", "verdict": told}, {"type": "run.finished", "seconds": 9.5})
        with self._database.write() as session:
            Repository(session).settle(
                self.claimed.job_id,
                self.claimed.attempt,
                Status.SUCCEEDED,
                Ending("finished", exit_code=0),
                verdict=told,
                deliveries=deliveries,
            )

    def fail(self, code: str, message: str, hint: str | None = None) -> None:
        """End the job badly."""
        with self._database.write() as session:
            Repository(session).settle(
                self.claimed.job_id,
                self.claimed.attempt,
                Status.FAILED,
                Ending("failed", Failure(code, message, hint), exit_code=65),
            )

    def play(self, files: Mapping[str, bytes]) -> str:
        """Play a whole job, from claim to success; return its id."""
        self.begin()
        self.start()
        for place in range(len(PLAN)):
            self.train(place)
        self.succeed([self.deliver(name, content) for name, content in files.items()])
        return self.claimed.job_id


def verdict() -> Verdict:
    """Return a verdict as the engine would reach it."""

    def measured(role: str, parameters: int) -> Measured:
        values = [_ENDS[role] + 0.004 * math.sin(7 * seed + len(role)) for seed in SEEDS]
        return Measured(
            score=Sample.of(values),
            parameters=parameters,
            size_bytes=4 * parameters + 300,
            flops=2 * parameters,
            latency_ms=parameters / 50_000,
        )

    return reach_verdict(
        seeds=list(SEEDS),
        teacher=measured("teacher", 58_330),
        student=measured("student", 2410),
        baseline=measured("baseline", 2410),
        controls={"hard_labels": measured("hard_labels", 2410)},
        agreement=0.971,
        confidence=0.95,
        tie_margin=0.005,
        test_size=10_000,
        gates=["student.accuracy >= 0.95", "retention >= 0.99", "size_mb <= 0.1"],
    )


def reported() -> Report:
    """Return a report as the engine would write it."""
    told = verdict()
    sure = Calibration(ece=0.01, bins=[Bin(confidence=0.9, accuracy=0.89, count=500)])
    return Report(
        name="digits",
        teacher="plain_cnn",
        student="mlp",
        data="digits",
        method="kd",
        verdict=told,
        forms=[
            FormTold(
                form="onnx",
                file="student.onnx",
                size_bytes=12_000,
                samples=64,
                largest_difference=2e-6,
                tolerance=1e-4,
            )
        ],
        timings=[
            Timing(
                network="student",
                runtime="onnxruntime",
                threads=1,
                batch=8,
                median_ms=0.5,
                low_ms=0.4,
                high_ms=0.6,
                repeats=30,
            )
        ],
        pareto=points(told),
        quality=ClassQuality(
            seed=0,
            calibration={"teacher": sure, "student": sure},
            classes=[
                ClassScore(label=0, name="0", count=50, teacher=1.0, student=0.98, baseline=0.9)
            ],
            confusion=[[49, 1], [0, 450]],
            both_right=480,
            only_teacher=10,
            only_student=5,
            neither=5,
            disagreements=[],
        ),
        stages=[
            StageTold(
                stage="teacher",
                role="teacher",
                seed=0,
                steps=300,
                seconds=1.5,
                scores={"loss": 0.1},
            )
        ],
        versions={"torch": "2.13.0"},
        digests={"recipe": "ab" * 32, "data": "cd" * 32},
        recipe={},
    )
