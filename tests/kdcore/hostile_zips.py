"""Zip archives that must be refused when they are opened, each with the words that say why."""

from __future__ import annotations

import stat

from zips import changed, plain, raw, with_mode

ONE = ("a/one.png", b"one")


def overlapping() -> bytes:
    """Return two entries that are the same bytes."""
    return raw((b"a/one.png", b"one"), (b"b/one.png", b"one"), offset=0)


def many_in_zip64() -> bytes:
    content = plain(ONE)
    place = content.rfind(b"PK\x05\x06")
    end = b"PK\x06\x06" + bytes(20) + (2**40).to_bytes(8, "little") * 2 + bytes(16)
    locator = b"PK\x06\x07" + bytes(4) + place.to_bytes(8, "little") + bytes(4)
    return content[:place] + end + locator + content[place:]


HOSTILE = {
    "a link": (plain((with_mode("a", stat.S_IFLNK | 0o777), b"/etc/passwd")), "'a' is a link"),
    "absolute": (plain(("/etc/cron.d/a.png", b"")), "is an absolute path"),
    "a drive": (plain(("C:/a.png", b"")), "is an absolute path"),
    "a bomb": (plain(("a.png", bytes(2**22))), "at most 200 times as much"),
    "in an archive": (plain(("a/b.zip", b"")), "is an archive in the archive"),
    "up": (plain(("../../a.png", b"")), "leads out of the archive"),
    "up as a folder": (plain(("a/../", b"")), "leads out of the archive"),
    "dot": (plain(("./a.png", b"")), "has an empty part"),
    "no name": (raw((b"", b"x")), "has an empty part"),
    "NUL": (raw((b"a.png\0.exe", b"")), "has control characters"),
    "line separator": (plain(("a\u2028b.png", b"")), "has control characters"),
    "no UTF-8": (raw((b"caf\xe9.png", b"")), "is not written in UTF-8"),
    "UTF-8 that is none": (raw((b"caf\xe9.png", b""), flags=0x800), "damaged zip archive"),
    "device": (plain((with_mode("a", stat.S_IFCHR | 0o644), b"")), "'a' is no plain file"),
    "strongly encrypted": (raw((b"a.png", b"x"), flags=0x41), "is encrypted"),
    "patched": (raw((b"a.png", b"x"), flags=0x20), "is packed by method 0"),
    "twice, differently spelt": (
        plain(("caf\u00e9.png", b""), ("cafe\u0301.png", b"")),
        "stands there twice",
    ),
    "a file and a folder": (plain(("a", b""), ("a/b.png", b"")), "is a file and a folder"),
    "a folder with bytes": (raw((b"a/", b"bytes")), "holds bytes of its own"),
    "an unknown method": (raw((b"a.png", b"x"), method=99), "packed by method 99"),
    "a huge entry": (raw((b"a.png", b"x"), size=2**31), "unpacks to 2,147,483,648 bytes"),
    "stored, and more than there is": (raw((b"a.png", b"x"), size=99), "is stored, with 1"),
    "overlapping": (overlapping, "lies over another entry"),
    "many": (raw((b"a.png", b"x"), count=0, directory=2**27), "expected at most 500,000"),
    "many in zip64": (many_in_zip64, "lists 1,099,511,627,776 entries"),
    "a broken directory": (
        lambda: changed(plain(ONE), b"PK\x01\x02", b"PK\x01\x03"),
        "damaged zip archive",
    ),
    "no header": (lambda: b"PK" + bytes(100), "is cut short"),
}
