"""Messages go to the public internet, and to what an operator lists: the address decides."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.receivers import Allowed, Receiver, addresses_of, is_public, receiver_of
from jobs.settings import Settings
from jobs.webhook_errors import ReceiverRefused

INSIDE = [
    "0.0.0.0",  # noqa: S104  # nobody listens there
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name lead to these addresses."""

    def answer(_: str, port: int, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_public_is_refused_also_behind_a_name(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_public(ipaddress.ip_address(address))
    resolving(monkeypatch, "1.1.1.1", address)
    with pytest.raises(ReceiverRefused, match="leads into a private network") as refused:
        addresses_of(receiver_of("https://hooks.example/x"), Allowed())
    assert address not in str(refused.value)
    assert "STILLHOUSE_WEBHOOK_ALLOW" in str(refused.value.hint)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_public_internet_is_taken(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_public(ipaddress.ip_address(address))
    resolving(monkeypatch, address, address)
    receiver = receiver_of("https://hooks.example/x")
    assert addresses_of(receiver, Allowed()) == [address]
    with pytest.raises(ReceiverRefused, match="found the scheme http; expected https"):
        addresses_of(receiver_of("http://hooks.example/x"), Allowed.of("10.0.0.0/8"))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "localhost"),
        *("LOCALHOST", "localhost.", "[::1]", "[::ffff:7f00:1]", "[::ffff:127.0.0.1]"),
    ],
)
def test_however_this_machine_is_written_it_is_refused_unless_it_is_listed(host: str) -> None:
    receiver = receiver_of(f"https://{host}/")
    with pytest.raises(ReceiverRefused, match="private network"):
        addresses_of(receiver, Allowed())
    assert addresses_of(receiver, Allowed.of("127.0.0.0/8, ::1"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://hooks.example/", "scheme 'ftp'; expected https"),
        ("hooks.example/x", "scheme ''"),
        ("javascript:alert(1)", "scheme 'javascript'"),
        ("https://", "host ''"),
        ("https:///x", "host ''"),
        ("https://me:word@hooks.example/", "a user's name"),
        ("https://@hooks.example/", "a user's name"),
        ("https://hooks.example/#x", "a fragment"),
        ("https://hooks.example/#", "a fragment"),
        ("https://hooks.example:25/", "port 25; expected 443"),
        ("https://hooks.example:0/", "port 0"),
        ("https://hooks.example:99999/", "no URL"),
        ("https://hooks.example:x/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://[fe80::1%25eth0]/", "the host|no URL"),
        ("https://hooks.example%2f/", "host 'hooks.example%2f'"),
        ("https://hö.example/", "of ASCII"),
        ("https://hooks.example/a b", "without spaces"),
        ("https://hooks.example\\@10.0.0.1/", "backslashes"),
        ("https://hooks.example/\r\nHost: x", "without spaces"),
        (f"https://hooks.example/{'x' * 2000}", "up to 2000"),
        (f"https://{'x' * 64}.example/", "no address"),
        ("https://nobody.invalid/", "no address of the host 'nobody.invalid'"),
    ],
)
def test_what_is_no_receiver_is_refused_with_what_was_found(url: str, words: str) -> None:
    with pytest.raises(ReceiverRefused, match=words):
        addresses_of(receiver_of(url), Allowed())


def test_a_url_is_taken_apart_as_it_is_sent() -> None:
    assert receiver_of("HTTPS://Hooks.Example?a=1") == Receiver(
        "https", "hooks.example", 443, "/?a=1"
    )
    shown = {
        url: receiver_of(url).authority
        for url in ("https://a.example:443/", "http://a.example:8080/x", "https://[2606::1]:4444")
    }
    assert list(shown.values()) == ["a.example", "a.example:8080", "[2606::1]:4444"]


def test_an_operator_lists_hosts_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "10.1.2.3")
    for listed in ("hooks.internal", "10.0.0.0/8", "10.1.2.3", "other, HOOKS.internal ,"):
        receiver = receiver_of("http://Hooks.internal:8080/")
        assert addresses_of(receiver, Allowed.of(listed)) == ["10.1.2.3"]
    for other in ("", "internal", "10.2.0.0/16", "1.1.1.1"):
        with pytest.raises(ReceiverRefused):
            addresses_of(receiver_of("https://hooks.internal/"), Allowed.of(other))
    resolving(monkeypatch, "::ffff:10.1.2.3")
    assert addresses_of(receiver_of("http://a.example/"), Allowed.of("10.1.0.0/16"))
    monkeypatch.setenv("STILLHOUSE_WEBHOOK_ALLOW", "hooks.internal, 10.0.0.0/33")
    with pytest.raises(ValidationError, match=r"found '10.0.0.0/33'; expected a host's name"):
        Settings()
