"""OpenTelemetry traces, where the operator asks for them by its own variables.

Nothing of it is imported unless `OTEL_EXPORTER_OTLP_ENDPOINT` or its variable for traces is set;
the packages come with the extra `otel`. What else can be set (headers, sampling, attributes of the
resource) is OpenTelemetry's own affair, by its own variables.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from jobs.logs import bind

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = logging.getLogger(__name__)
_tracer: Any = None


def wanted() -> bool:
    """Return whether the environment asks for traces."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    without = os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none"
    return any(map(os.environ.get, ENDPOINTS)) and not disabled and not without


def set_up_traces(process: str) -> None:
    """Have spans sent from now on, if that is wanted; `OTEL_SERVICE_NAME` may name the process."""
    global _tracer  # noqa: PLW0603  # one for each process, as OpenTelemetry has it
    if not wanted():
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning(
            "traces are asked for (OTEL_EXPORTER_OTLP_ENDPOINT), and %s is not installed;"
            " pip install 'stillhouse-server[otel]'",
            error.name,
        )
        return
    # The name from the environment, if there is one, wins over this one.
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: f"stillhouse-{process}"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("stillhouse")


def tracer() -> Any:
    """Return OpenTelemetry's tracer of this process; None where there are no traces."""
    return _tracer


def current_span() -> Any:
    """Return the span that is under way here, whose ids log entries then bear; None: no traces."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    span = trace.get_current_span()
    bind_span(span)
    return span


def bind_span(span: Any) -> None:
    """Have log entries of this thread or coroutine bear a span's ids."""
    context = span.get_span_context()
    if context.is_valid:
        bind(trace_id=f"{context.trace_id:032x}", span_id=f"{context.span_id:016x}")


def traceparent() -> str | None:
    """Return the W3C name of the span that is under way here; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def context_of(parent: str | None) -> Any:
    """Return the context whose span a `traceparent` names; None for none."""
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})
