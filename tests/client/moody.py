"""A server that says what it is told to say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Moody:
    """Answers with the statuses it was given, then with 200."""

    answers: list[tuple[int, dict[str, str]]] = field(
        default_factory=list[tuple[int, dict[str, str]]]
    )
    asked: list[tuple[str, str, str | None]] = field(
        default_factory=list[tuple[str, str, str | None]]
    )
    url: str = ""


@contextmanager
def moody_server() -> Iterator[Moody]:
    """A server of moods."""
    mood = Moody()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            mood.asked.append((self.command, self.path, self.headers.get("idempotency-key")))
            status, headers = mood.answers.pop(0) if mood.answers else (200, {})
            body = b'{"id": "job_1", "data": []}'
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that the library calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        mood.url = f"http://127.0.0.1:{http.server_port}"
        yield mood
        http.shutdown()
