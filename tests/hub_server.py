"""A hub for tests: answers as the Hugging Face hub does, for files of a few repositories."""

import contextlib
import hashlib
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Files by `owner/name/resolve/commit/file`, and what was asked for."""

    def __init__(self) -> None:
        """Begin without files."""
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.token: str | None = None
        """What opens the door; none where it is open."""
        self.fails = False
        """Whether it answers nothing but 500."""
        self.url = ""

    def add(self, repository: str, **files: bytes) -> None:
        """Add files, `_` standing for the dot in their names."""
        for name, content in files.items():
            self.files[f"/{repository}/resolve/{COMMIT}/{name.replace('_', '.')}"] = content

    def gets(self) -> list[str]:
        """Return which files were sent."""
        return [path.rpartition("/")[2] for method, path, _ in self.asked if method == "GET"]


@contextlib.contextmanager
def running_hub() -> Generator[Hub]:
    """Run a hub."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            content = self._answer()
            if content:
                self.wfile.write(content)

        def _answer(self) -> bytes | None:
            hub.asked.append((self.command, self.path, self.headers["Authorization"]))
            content = hub.files.get(self.path)
            if hub.fails:
                return self._refuse(500, "InternalError")
            if hub.token and self.headers["Authorization"] != f"Bearer {hub.token}":
                return self._refuse(401, "GatedRepo")
            if content is None:
                repository = self.path.partition("/resolve/")[0]
                known = any(path.startswith(repository) for path in hub.files)
                return self._refuse(404, "EntryNotFound" if known else "RepoNotFound")
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            return content

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
