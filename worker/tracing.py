"""An attempt as spans: itself, below the request that posted its job, and its stages below it."""

from types import TracebackType
from typing import Any, Self

from jobs.leases import Claim
from jobs.logs import bind
from jobs.traces import bind_span, context_of, tracer


class AttemptTrace:
    """The spans of one attempt; without traces it does nothing."""

    def __init__(self, claim: Claim) -> None:
        """Begin the attempt's span, in the trace that the job came with."""
        self._tracer = tracer()
        self._stages: dict[str, Any] = {}
        self._span: Any = None
        if self._tracer is None:
            return
        attributes = {"stillhouse.job.id": claim.job_id, "stillhouse.attempt": claim.attempt}
        parent = context_of(claim.origin.get("traceparent"))
        self._span = self._tracer.start_span("attempt", context=parent, attributes=attributes)
        bind_span(self._span)

    def hear(self, event: dict[str, Any]) -> None:
        """Begin or end a stage's span with what the trainer tells of it."""
        if self._span is None:
            return
        match event["type"]:
            case "stage.started":
                from opentelemetry import trace

                self._stages[event["stage"]] = self._tracer.start_span(
                    f"stage {event['role']}",
                    context=trace.set_span_in_context(self._span),
                    attributes={
                        "stillhouse.stage": event["stage"],
                        "stillhouse.seed": event["seed"],
                        "stillhouse.first_step": event["step"],
                    },
                )
            case "stage.finished" if event["stage"] in self._stages:
                span = self._stages.pop(event["stage"])
                span.set_attribute("stillhouse.last_step", event["step"])
                span.end()
            case _:
                pass

    def conclude(self, reason: str, *, failed: bool) -> None:
        """Note how the attempt ends, in the ledger's word for it."""
        if self._span is None:
            return
        self._span.set_attribute("stillhouse.reason", reason)
        if failed:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR, reason)

    def __enter__(self) -> Self:
        """Return the trace itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what is open."""
        for span in self._stages.values():
            span.end()
        if self._span is not None:
            self._span.end()
            bind(trace_id=None, span_id=None)
