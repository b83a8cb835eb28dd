"""One POST to a receiver: to a checked address, within a deadline, and no further.

Redirects are not followed: they would lead where nobody has looked. Of the answer its status counts
and nothing else is kept, so a webhook is no way to read what a server inside of a network says.
"""

import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final

from jobs.receivers import Receiver
from jobs.webhook_sending import Sent

MOST_READ_BYTES: Final = 4096
"""Of the answer's body; a sender that closes before it would cut the receiver off."""
_MOST_DELAY_SECONDS: Final = 10**9


def post(
    receiver: Receiver,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    seconds: float,
) -> Sent:
    """Send a body to the first of the addresses that answers; tell what came of it.

    All of it together takes `seconds` at most.
    """
    deadline = time.monotonic() + seconds
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(_connected(receiver, addresses, deadline))
            late = stack.enter_context(_cut_off(connection, deadline))
            try:
                return _asked(receiver, connection, headers, body)
            except (OSError, HTTPException):
                if late.is_set():
                    raise TimeoutError from None
                raise
    except TimeoutError:
        return Sent(error=f"no answer within {seconds:g} s")
    except ssl.SSLCertVerificationError as error:
        return Sent(error=f"its certificate is not good: {error.verify_message}"[:300])
    except HTTPException as error:
        return Sent(error=f"found no answer of HTTP: {type(error).__name__}")
    except OSError as error:
        return Sent(error=f"could not be spoken to: {error.strerror or type(error).__name__}"[:300])


def _connected(receiver: Receiver, addresses: Sequence[str], deadline: float) -> socket.socket:
    """Return a connection to one of the addresses."""
    failure: OSError = TimeoutError()
    for place, address in enumerate(addresses):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            # One that swallows everything must not take the time of those behind it.
            share = left / (len(addresses) - place)
            plain = socket.create_connection((address, receiver.port), share)
        except OSError as error:
            failure = error
            continue
        plain.settimeout(max(deadline - time.monotonic(), 0.01))
        if receiver.scheme == "http":
            return plain
        context = ssl.create_default_context()
        return context.wrap_socket(
            plain, server_hostname=receiver.host, do_handshake_on_connect=False
        )
    raise failure


@contextmanager
def _cut_off(connection: socket.socket, deadline: float) -> Generator[threading.Event]:
    """Shut a connection at the deadline: its own timeout begins anew with each byte that comes."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):
            # Not by way of TLS, which another thread is at.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(deadline - time.monotonic(), cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _asked(
    receiver: Receiver, connection: socket.socket, headers: Mapping[str, str], body: bytes
) -> Sent:
    if isinstance(connection, ssl.SSLSocket):
        connection.do_handshake()
    asking = HTTPConnection(receiver.host, receiver.port)
    asking.sock = connection
    try:
        named = {"Host": receiver.authority, "Connection": "close", **headers}
        asking.request("POST", receiver.target, body, named)
        with asking.getresponse() as answer:
            with contextlib.suppress(OSError, HTTPException):
                answer.read(MOST_READ_BYTES)
            return _told(answer)
    finally:
        asking.close()


def _told(answer: HTTPResponse) -> Sent:
    code = answer.status
    if 200 <= code < 300:  # noqa: PLR2004  # what HTTP calls successful
        return Sent(code)
    words = f"answered {code}; expected 200 to 299"
    if 300 <= code < 400:  # noqa: PLR2004  # what HTTP calls a redirection
        words += ", and redirects are not followed"
    return Sent(code, words, _seconds_of(answer.headers.get("Retry-After")))


def _seconds_of(text: str | None) -> float | None:
    """Return the seconds that `Retry-After` names, as a number or as a moment."""
    if text is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):
        seconds = float(text)
        return seconds if math.isfinite(seconds) and 0 <= seconds < _MOST_DELAY_SECONDS else None
    with contextlib.suppress(ValueError, OverflowError, TypeError):
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
    return None
