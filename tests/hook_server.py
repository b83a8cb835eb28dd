"""A receiver of webhooks for tests: keeps what comes, and answers as it is told to."""

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Got:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes

    @property
    def id(self) -> str:
        """Return the message's id."""
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        """Return what it tells of."""
        return str(json.loads(self.body)["type"])

    def verified(self, secret: str) -> Any:
        """Return the body, if the library of Standard Webhooks says that it is ours.

        Raises:
            standardwebhooks.WebhookVerificationError: it does not.
        """
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[BaseHTTPRequestHandler], None]


class Hook:
    """What came, and what is answered."""

    def __init__(self) -> None:
        """Answer 204 to everything."""
        self.got: list[Got] = []
        self.answer: Answer = answering(204)
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?of=tests"

    def types(self) -> list[str]:
        """Return the types of what came."""
        return [json.loads(one.body)["type"] for one in self.got]


def answering(code: int, body: bytes = b"", **headers: str) -> Answer:
    """Return an answer; in the names of headers `_` stands for `-`."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextlib.contextmanager
def running_hook(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Generator[Hook]:
    """Run a receiver."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.got.append(Got(self.path, headers, body))
            with contextlib.suppress(OSError):  # who sends may not wait for all of it
                hook.answer(self)

        def do_GET(self) -> None:
            """Keep what follows a redirect."""
            self.headers["Content-Length"] = "0"
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing: some tests break connections."""

    with Quiet((host, port), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            hook.scheme = "https"
        hook.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()
