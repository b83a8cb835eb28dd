"""What is sent again and what is not, against a server that says what it is told to say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from moody import Moody
from stand import free_port
from stillhouse import ApiError, Client, Unreachable


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_submission_is_sent_again_under_one_key(moody: Moody, status: int) -> None:
    moody.answers = [(status, {}), (status, {})]
    with Client(moody.url) as client:
        assert client.submit({"method": "kd"})["id"] == "job_1"
    keys = {key for _, _, key in moody.asked}
    assert len(moody.asked) == 3
    assert len(keys) == 1
    assert None not in keys


def test_retry_after_is_honoured(moody: Moody) -> None:
    moody.answers = [(503, {"Retry-After": "1"})]
    with Client(moody.url) as client:
        began = time.monotonic()
        client.artifacts("job_1")
    assert time.monotonic() - began >= 1


def test_a_retry_after_beyond_the_patience_is_not_waited_for(moody: Moody) -> None:
    moody.answers = [(503, {"Retry-After": "3600"})]
    with Client(moody.url, patience_seconds=5) as client, pytest.raises(ApiError) as caught:
        client.artifacts("job_1")
    assert caught.value.status == 503


def test_a_retry_is_not_sent_twice(moody: Moody) -> None:
    # The job may have failed again in between.
    moody.answers = [(503, {})]
    with Client(moody.url) as client, pytest.raises(ApiError):
        client.retry("job_1")
    assert len(moody.asked) == 1


@pytest.mark.parametrize(
    "verb",
    [
        Client.cancel,
        Client.pause,
        Client.resume,
        Client.delete,
        Client.clone,
        lambda client, job: client.change(job, {"name": "x"}),
    ],
)
def test_what_may_be_asked_twice_is_sent_again(
    moody: Moody, verb: Callable[[Client, str], object]
) -> None:
    moody.answers = [(503, {})]
    with Client(moody.url) as client:
        verb(client, "job_1")
    assert len(moody.asked) == 2
    assert moody.asked[0] == moody.asked[1], "under the same key, where there is one"


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_a_real_answer_is_not_asked_for_again(moody: Moody, status: int) -> None:
    moody.answers = [(status, {})]
    with Client(moody.url) as client, pytest.raises(ApiError) as caught:
        client.get("job_1")
    assert caught.value.status == status
    assert len(moody.asked) == 1


def test_nobody_there_is_told_after_the_patience() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with Client(url, patience_seconds=1) as client, pytest.raises(Unreachable, match=url):
        client.get("job_1")
    assert time.monotonic() - began < 5


def test_also_a_verb_waits_for_a_server_that_is_just_starting(moody: Moody) -> None:
    # The connection was refused, so nothing was sent: trying again is safe.
    port = free_port()
    answered = threading.Event()

    def start_late() -> None:
        time.sleep(0.5)
        with ThreadingHTTPServer(("127.0.0.1", port), _Ok) as http:
            http.handle_request()
        answered.set()

    threading.Thread(target=start_late, daemon=True).start()
    with Client(f"http://127.0.0.1:{port}", patience_seconds=10) as client:
        assert client.cancel("job_1")["id"] == "job_1"
    assert answered.wait(5)


class _Ok(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "15")
        self.end_headers()
        self.wfile.write(b'{"id": "job_1"}')

    def log_message(self, *_: object) -> None:
        pass
