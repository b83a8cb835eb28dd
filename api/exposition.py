"""Prometheus metrics: what the door counts itself, and what it asks the ledger at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE: Final = "499"


@dataclass(frozen=True, slots=True)
class Census:
    """What the ledger says at the moment of a scrape."""

    jobs: Mapping[str, int]
    """Jobs in each status."""
    workers: int
    """Workers that reported within the lease time."""


class _LedgerCollector(Collector):
    def __init__(self, census: Callable[[], Census | None]) -> None:
        self._census = census

    def collect(self) -> Iterator[Metric]:
        census = self._census()
        yield GaugeMetricFamily(
            "stillhouse_database_up", "1 where the ledger answers", value=float(census is not None)
        )
        if census is None:
            return
        jobs = GaugeMetricFamily("stillhouse_jobs", "Jobs in each status", labels=["status"])
        for status, count in census.jobs.items():
            jobs.add_metric([status], count)
        yield jobs
        yield GaugeMetricFamily(
            "stillhouse_workers",
            "Workers that reported within the lease time",
            value=census.workers,
        )


class Meters:
    """The metrics of one app, in a registry of its own, so that several apps can share a process.

    No label ever holds what a client wrote: routes are templates, methods a fixed set.
    """

    def __init__(self, census: Callable[[], Census | None]) -> None:
        """Ask `census` at each scrape; None means that the ledger does not answer."""
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_LedgerCollector(census))
        self._requests = Counter(
            "stillhouse_http_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "stillhouse_http_request_duration_seconds",
            "Time from the request to the end of its answer",
            ["method", "route"],
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
            meters = self._known[method, route, status] = (
                self._requests.labels(method, route, str(status) if status else _CLIENT_GONE),
                self._seconds.labels(method, route),
            )
        meters[0].inc()
        meters[1].observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
