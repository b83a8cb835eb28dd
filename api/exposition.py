"""Prometheus metrics: what the door counts itself, and what it asks the ledger at each scrape.

Workers have no port. What they do stands in the ledger, and every server tells the same of it: take
one server's numbers for those, not the sum over all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.types import Scope

from api import VERSION
from jobs.endings import REASONS
from jobs.mlflow_runs import Mirrored
from jobs.tallies import ATTEMPT, BOUNDS, QUEUE_WAIT, WEBHOOK, Tallied, Tallies

# A second series beside each of ours, for Prometheus' memory alone, that nobody asks for.
disable_created_metrics()

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE: Final = "499"
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Census:
    """What the ledger says at the moment of a scrape."""

    jobs: Mapping[str, int]
    """Jobs in each status."""
    workers: int
    """Workers that reported within the lease time, and do not drain."""
    slots: int
    """Slots that these have."""
    swept_at: float | None
    """When a sweeper was last through, in seconds since 1970."""
    tallies: Tallies
    webhooks_pending: int
    """Messages that have not come through yet."""
    mirrored: Mirrored | None
    """How far jobs are mirrored in MLflow, where this server does so."""
    teacher_cache_bytes: int
    teacher_cache_budget: int


class _LedgerCollector(Collector):
    def __init__(self, census: Callable[[], Census | None]) -> None:
        self._census = census

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("stillhouse", "This server", value={"version": VERSION})
        census = self._census()
        yield _gauge("database_up", "1 where the ledger answers", float(census is not None))
        if census is None:
            return
        jobs = GaugeMetricFamily("stillhouse_jobs", "Jobs in each status", labels=["status"])
        for status, count in census.jobs.items():
            jobs.add_metric([status], count)
        yield jobs
        lately = "that reported within the lease time and take jobs"
        yield _gauge("workers", f"Workers {lately}", census.workers)
        yield _gauge("worker_slots", f"Slots of the workers {lately}", census.slots)
        if census.swept_at is not None:
            yield _gauge(
                "last_sweep_timestamp_seconds",
                "When the leases of dead workers were last looked for",
                census.swept_at,
            )
        yield _gauge(
            "webhook_deliveries_pending",
            "Messages to webhooks that have not come through yet",
            census.webhooks_pending,
        )
        if (mirrored := census.mirrored) is not None:
            runs = GaugeMetricFamily(
                "stillhouse_mlflow_runs", "Jobs that are mirrored in MLflow", labels=["state"]
            )
            runs.add_metric(["told"], mirrored.told)
            runs.add_metric(["waiting"], mirrored.waiting - mirrored.failing)
            runs.add_metric(["failing"], mirrored.failing)
            yield runs
        yield _gauge(
            "teacher_cache_bytes",
            "What is kept of what teachers said, on this server's disk",
            census.teacher_cache_bytes,
        )
        yield _gauge("teacher_cache_budget_bytes", "Room for it", census.teacher_cache_budget)
        yield from _of_tallies(census.tallies)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"stillhouse_{name}", words, value=value)


def _of_tallies(tallies: Tallies) -> Iterator[Metric]:
    waits = HistogramMetricFamily(
        "stillhouse_queue_wait_seconds",
        "From the moment when a job could be run to its claim by a worker",
    )
    nothing = Tallied([0] * (len(BOUNDS[QUEUE_WAIT]) + 1))
    waited = tallies.series[QUEUE_WAIT].get("", nothing)
    waits.add_metric([], _cumulated(QUEUE_WAIT, waited.buckets), waited.seconds)
    yield waits
    outcomes: dict[str, Tallied] = {}
    reasons: dict[str, int] = {}
    for label, ended in tallies.series[ATTEMPT].items():
        outcome, _, reason = label.partition("/")
        # A label's values are ours alone: a trainer's own word would be one of many to come.
        reason = reason if reason in REASONS else _OTHER
        reasons[reason] = reasons.get(reason, 0) + sum(ended.buckets)
        both = outcomes.setdefault(outcome, Tallied([0] * len(ended.buckets)))
        both.buckets = [one + more for one, more in zip(both.buckets, ended.buckets, strict=True)]
        both.seconds += ended.seconds
    durations = HistogramMetricFamily(
        "stillhouse_attempt_duration_seconds",
        "From the claim of an attempt to its end, by outcome",
        labels=["outcome"],
    )
    for outcome, ended in sorted(outcomes.items()):
        durations.add_metric([outcome], _cumulated(ATTEMPT, ended.buckets), ended.seconds)
    yield durations
    counts = CounterMetricFamily(
        "stillhouse_attempts", "Attempts that have ended, by reason", labels=["reason"]
    )
    for reason, count in sorted(reasons.items()):
        counts.add_metric([reason], count)
    yield counts
    yield CounterMetricFamily(
        "stillhouse_leases_lost",
        "Attempts that were given up since their worker was silent for longer than the lease",
        value=reasons.get("lost", 0),
    )
    tries = CounterMetricFamily(
        "stillhouse_webhook_deliveries",
        "Tries to send messages to webhooks, by what came of them",
        labels=["outcome"],
    )
    for outcome in ("delivered", "retried", "failed"):
        tried = tallies.series[WEBHOOK].get(outcome)
        tries.add_metric([outcome], sum(tried.buckets) if tried else 0)
    yield tries


def _cumulated(series: str, buckets: list[int]) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus has them: each holds all that are below its bound."""
    told: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*BOUNDS[series], "+Inf"), buckets, strict=True):
        total += count
        told.append((bound if isinstance(bound, str) else repr(float(bound)), total))
    return told


class Meters:
    """The metrics of one app, in a registry of its own, so that several apps can share a process.

    No label ever holds what a client wrote: routes are templates, methods a fixed set.
    """

    def __init__(self, census: Callable[[], Census | None]) -> None:
        """Ask `census` at each scrape; None means that the ledger does not answer."""
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_LedgerCollector(census))
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "stillhouse_http_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "stillhouse_http_request_duration_seconds",
            "Time from the request to the end of its answer",
            ["method", "route", "status"],
            registry=self._registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
        )
        self.streams = Gauge(
            "stillhouse_event_streams", "Open event streams", registry=self._registry
        )
        self.submitted = Counter(
            "stillhouse_jobs_submitted", "Jobs accepted by this server", registry=self._registry
        )

    def request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request; status 0 is a client that left before the answer began."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = str(getattr(scope.get("route"), "path", "unmatched"))
        # Looked up once: both are bounded, since nothing in them is a client's.
        meters = self._known.get((method, route, status))
        if meters is None:
            code = str(status) if status else _CLIENT_GONE
            meters = self._known[method, route, status] = (
                self._requests.labels(method, route, code),
                self._seconds.labels(method, route, f"{code[0]}xx"),
            )
        meters[0].inc()
        meters[1].observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
