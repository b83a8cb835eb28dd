"""A file that comes inside a form (multipart/form-data): found, and passed on block by block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from jobs.input_errors import ContentRefused

FORM: Final = "multipart/form-data"
_SHOWN: Final = 80
_FIELD_BYTES: Final = 1024
"""Of a field beside the file; it is a word."""


class FormFile:
    """The one file of a form; as much of it is in memory as came at a time."""

    def __init__(
        self, content_type: str, body: AsyncIterator[bytes], known: Collection[str] = ()
    ) -> None:
        """Read a body of this type, in which fields of these names may stand beside the file.

        Raises:
            ContentRefused: the type names no boundary that can be one.
        """
        self._body = body
        self._waiting = bytearray()
        self._field = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._known = known
        self._said: dict[str, bytearray] = {}
        self._into = self._waiting
        self._in_front: Mapping[str, str] = {}
        self._files = 0
        self._is_over = False
        self.name: str | None = None
        """What the client calls it."""
        _, options = parse_options_header(content_type)
        try:
            self._parser = MultipartParser(
                options.get(b"boundary") or b"",
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._read_field,
                    "on_header_value": self._read_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._read_data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _refused(f"found a form that cannot be read ({error})") from None
        if not options.get(b"boundary"):
            raise _refused("found a form whose Content-Type names no boundary")

    @property
    def fields(self) -> Mapping[str, str]:
        """What the fields beside the file say, as far as they have come."""
        return {name: said.decode(errors="replace") for name, said in self._said.items()}

    async def begin(self) -> Mapping[str, str]:
        """Read up to the file; return the fields that stand in front of it.

        Raises:
            ContentRefused: there is none, or something else comes before it.
        """
        while not self._files:
            block = await anext(self._body, None)
            if block is None:
                raise _refused("found a form without a file")
            self._parse(block)
        return self._in_front

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the file.

        Raises:
            ContentRefused: something else comes after it, or the form was cut short.
        """
        while True:
            if self._waiting:
                yield bytes(self._waiting)
                self._waiting.clear()
            block = await anext(self._body, None)
            if block is None:
                break
            self._parse(block)
        if not self._is_over:
            raise _refused("found a form without its last boundary; it was cut short")

    def _parse(self, block: bytes) -> None:
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise _refused(f"found a form that cannot be read ({error})") from None

    def _begin_part(self) -> None:
        self._disposition = b""

    def _read_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _read_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if bytes(self._field).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        if b"filename" not in options:
            field = options.get(b"name", b"").decode(errors="replace")
            if field not in self._known or field in self._said:
                beside = f"beside {', '.join(self._known)}" if self._known else "and no more"
                raise _refused(
                    f"found the field {field[:_SHOWN]!r} in a form; expected one file {beside}"
                )
            self._into = self._said[field] = bytearray()
            return
        self._into = self._waiting
        self._in_front = self.fields
        self._files += 1
        if self._files > 1:
            raise _refused("found a second file in a form; expected one")
        self.name = options[b"filename"].decode(errors="replace")

    def _read_data(self, data: bytes, start: int, end: int) -> None:
        self._into += data[start:end]
        if self._into is not self._waiting and len(self._into) > _FIELD_BYTES:
            raise _refused(f"found a field of more than {_FIELD_BYTES} bytes; expected a word")

    def _end(self) -> None:
        self._is_over = True


def _refused(found: str) -> ContentRefused:
    return ContentRefused(
        found, code="form_refused", hint="with curl: -F file=@FILE, or -T FILE for the file itself"
    )
