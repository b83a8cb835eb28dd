"""Traces: off and not even imported by default; one trace from the POST to the stages when on."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import wait_until

from jobs.settings import Settings

ROOT = Path(__file__).parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SPEC = {
    "teacher": "mlp",
    "student": "mlp",
    "data": "synthetic",
    "baseline": False,
    "training": {"max_steps": 3},
    "export": ["safetensors"],
}


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.spans: list[tuple[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
                    ExportTraceServiceRequest,
                )

                content = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    content = gzip.decompress(content)
                assert self.path == "/v1/traces"
                for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
                    (service,) = [
                        one.value.string_value
                        for one in resource.resource.attributes
                        if one.key == "service.name"
                    ]
                    for scope in resource.scope_spans:
                        outer.spans += [(service, span) for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def named(self, name: str) -> list[tuple[str, Any]]:
        """Return the spans of the trace under test that have a name."""
        trace = bytes.fromhex(TRACE)
        return [one for one in self.spans if one[1].name == name and one[1].trace_id == trace]

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Generator[Collector]:
    pytest.importorskip("opentelemetry.sdk")
    opened = Collector()
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_is_one_trace_from_its_request_to_its_stages(
    settings: Settings, collector: Collector, tmp_path: Path
) -> None:
    port = tmp_path / "port"
    settings.data.mkdir(parents=True)
    environment = os.environ | {
        "STILLHOUSE_DATA": str(settings.data),
        "STILLHOUSE_DATABASE_URL": settings.database_url,
        "STILLHOUSE_WARM": "0",
        "STILLHOUSE_LOG_FORMAT": "json",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with contextlib.ExitStack() as stack:
        for words in (["api", "--port", "0", "--port-file", str(port)], ["worker"]):
            log = stack.enter_context((tmp_path / f"{words[0]}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *words], env=environment, cwd=ROOT, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        wait_until(port.exists, seconds=60)
        with httpx.Client(base_url=f"http://127.0.0.1:{port.read_text().strip()}") as client:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            job = client.post("/v1/jobs", json=SPEC, headers=headers).json()
            wait_until(lambda: collector.named("attempt"), seconds=120)
            # By its route, though it comes by the short way beside the router.
            client.get(f"/v1/jobs/{job['id']}")
            wait_until(lambda: any(s.name == "GET /v1/jobs/{job_id}" for _, s in collector.spans))
        ((api, request),) = collector.named("POST /v1/jobs")
        ((worker, attempt),) = collector.named("attempt")
        stages = collector.named("stage teacher") + collector.named("stage student")
        assert (api, worker) == ("stillhouse-api", "stillhouse-worker")
        assert request.parent_span_id == bytes.fromhex(PARENT)
        assert attempt.parent_span_id == request.span_id
        assert [span.parent_span_id for _, span in stages] == [attempt.span_id] * 2
        told = {one.key: one.value for one in attempt.attributes}
        assert told["stillhouse.job.id"].string_value == job["id"]
        assert told["stillhouse.reason"].string_value == "finished"
        for _, span in stages:
            assert attempt.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= attempt.end_time_unix_nano
        assert TRACE in (tmp_path / "api.log").read_text()
        assert TRACE in (tmp_path / "worker.log").read_text()


def test_nothing_of_it_is_imported_unless_it_is_asked_for() -> None:
    program = (
        "import sys, api.__main__, worker.__main__, jobs.traces as t\n"
        "t.set_up_traces('api')\n"
        "assert t.tracer() is None and t.traceparent() is None\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'google.protobuf'))])"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=kept,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_traces_without_their_packages_are_told_the_way(tmp_path: Path) -> None:
    program = (
        "import sys, logging\n"
        "sys.modules['opentelemetry.sdk.trace'] = None\n"
        "sys.modules['opentelemetry.sdk.resources'] = None\n"
        "sys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
        "logging.basicConfig()\n"
        "import jobs.traces as t\n"
        "t.set_up_traces('api')\n"
        "assert t.tracer() is None"
    )
    named = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=named,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stillhouse-server[otel]" in done.stderr
