"""One POST: to the address that was checked, over checked TLS, and no longer than it may."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hook_server import Hook, running_hook
from hooks import ended, hook, make_due, messages, messaging
from specs import submit
from waiting import wait_until

from jobs import rounds
from jobs.database import Database
from jobs.receivers import receiver_of
from jobs.settings import Settings
from jobs.webhook_post import post
from jobs.webhook_sending import Sent

QUEUED = ["job.queued"]


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give settings by which messages may go to this machine, and are soon looked for."""
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.1)
    return settings.model_copy(update={"webhook_allow": "127.0.0.1"})


def _drip(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(600):
        handler.wfile.write(b"H")
        time.sleep(0.05)


def _silence(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.settimeout(10)
    handler.connection.recv(1)


def _nonsense(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")


def _many_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    for place in range(500):
        handler.send_header(f"X-{place}", "y" * 1000)
    handler.end_headers()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (_drip, Sent(error="no answer within 1 s")),
        (_silence, Sent(error="no answer within 1 s")),
        (_nonsense, Sent(error="found no answer of HTTP: BadStatusLine")),
        (_many_headers, Sent(error="found no answer of HTTP: HTTPException")),
    ],
)
def test_a_receiver_cannot_hold_up_who_sends(
    receiver: Hook, answer: Callable[[BaseHTTPRequestHandler], None], told: Sent
) -> None:
    receiver.answer = answer
    begun = time.monotonic()
    assert post(receiver_of(receiver.url), ["127.0.0.1"], {}, b"{}", 1.0) == told
    assert time.monotonic() - begun < 5


def test_of_an_answer_without_end_a_little_is_read(receiver: Hook) -> None:
    sent = list[int]()

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            sent.append(handler.wfile.write(b"x" * 65_536))

    receiver.answer = endless
    assert post(receiver_of(receiver.url), ["127.0.0.1"], {}, b"{}", 5.0) == Sent(200)
    assert sum(sent) < 64 << 20, "what the system holds for a socket, and no more"


def test_a_name_that_means_another_address_by_then_is_not_asked_again(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = socket.getaddrinfo, list[str]()

    def rebinding(host: str, *more: Any, **options: Any) -> Any:
        if host != "rebind.example":
            return real(host, *more, **options)
        asked.append(host)
        return real("127.0.0.2" if len(asked) == 1 else "127.0.0.1", *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with running_hook("127.0.0.2") as meant, running_hook(port=meant.port) as trap:
        hook(database, f"http://rebind.example:{meant.port}/", events=QUEUED)
        submit(database)
        narrow = settings.model_copy(update={"webhook_allow": "127.0.0.2"})
        with messaging(narrow, database):
            assert ended(database) == [("delivered", 204)]
            make_due(database)
            submit(database)
            wait_until(lambda: messages(database)[1].error)
    assert (len(meant.got), trap.got) == (1, [])
    assert meant.got[0].headers["host"] == f"rebind.example:{meant.port}"
    assert "private network" in (messages(database)[1].error or "")


def test_tls_is_checked_against_the_name_in_the_url(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = _certificate(tmp_path, "localhost")
    with running_hook(tls=context) as secure:
        secret = hook(database, f"https://localhost:{secure.port}/", events=QUEUED).secret
        hook(database, f"https://127.0.0.1:{secure.port}/", events=QUEUED)
        submit(database)
        with messaging(settings, database):
            good, wrong = sorted(ended(database))
    assert (good, wrong) == (("delivered", 204), ("pending", None))
    assert secure.got[0].verified(secret)
    (error,) = (row.error for row in messages(database) if row.error)
    assert "its certificate is not good" in error


def _certificate(folder: Path, name: str) -> ssl.SSLContext:
    """Make a certificate for a name, which the file `authority.pem` vouches for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(called, called, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = made.public_bytes(serialization.Encoding.PEM)
    (folder / "authority.pem").write_bytes(certificate)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(certificate + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context
