"""A request's body: read while it is counted, and taken apart in memory, never on disk.

Form parsers of web frameworks put large parts into temporary files; pictures of people should
leave no such traces, and their number and size are bounded here anyhow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import Receive

from featherface.server.limits import Lease, Limits, Refusal
from featherface.server.pictures import Picture

BINARY = "application/octet-stream"
MULTIPART = "multipart/form-data"


class Sink(Protocol):
    """Takes a body as it comes and gives the pictures that were in it."""

    def write(self, data: bytes) -> None:
        """The next piece.

        Raises:
            Refusal: it does not fit what came before, or is too much.
        """

    def end(self) -> list[Picture]:
        """All pictures.

        Raises:
            Refusal: there are none, or the last one is not complete.
        """


async def read(receive: Receive, headers: Headers, limits: Limits, lease: Lease) -> list[Picture]:
    """The pictures in a body, of which there is one at least.

    Raises:
        Refusal: more than a request may hold, another type than pictures, a broken form, or a
            client that went away.
    """
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.max_bytes:
        raise _too_long(limits)
    sink = _sink(headers, limits)
    count = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise gone()
        data = message.get("body", b"")
        more = message.get("more_body", False)
        count += len(data)
        if count > limits.max_bytes:
            raise _too_long(limits)
        lease.take(len(data))
        sink.write(data)
    return sink.end()


def gone() -> Refusal:
    """Nobody will read this answer; it is for the log."""
    return Refusal(499, "the client went away")


def _too_long(limits: Limits) -> Refusal:
    return Refusal(
        413, f"the body has more than {limits.max_bytes:,} bytes; send fewer or smaller pictures"
    )


def _sink(headers: Headers, limits: Limits) -> Sink:
    """What takes a body of the type that the headers tell."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "the body is compressed; send it without Content-Encoding")
    kind, options = parse_options_header(headers.get("content-type"))
    media_type = kind.decode("latin-1")
    if media_type == MULTIPART:
        if not options.get(b"boundary"):
            raise Refusal(400, f"the Content-Type {MULTIPART} has no boundary")
        return _Form(options[b"boundary"], limits)
    if media_type in ("", BINARY) or media_type.startswith("image/"):
        return _Raw()
    raise Refusal(
        415,
        "the body is no picture by its Content-Type; wanted image/jpeg or another image, "
        f"{BINARY}, or {MULTIPART} for several",
    )


class _Raw:
    """A body that is one picture."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, data: bytes) -> None:
        self._content += data

    def end(self) -> list[Picture]:
        return [Picture("picture 1", bytes(self._content))]


class _Form:
    """A form of files (RFC 7578)."""

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_name,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add,
            "on_part_end": self._end_part,
            "on_end": self._finish,
        }
        self._limit = limits.max_pictures
        self._pictures: list[Picture] = []
        self._content = bytearray()
        self._name = self._value = self._disposition = b""
        self._file = ""
        self._is_complete = False
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise Refusal(400, f"the boundary of {MULTIPART} is too long") from error

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Refusal(400, f"the body is no {MULTIPART} with the boundary named") from error

    def end(self) -> list[Picture]:
        if not self._is_complete:
            raise Refusal(400, f"the {MULTIPART} ends before its last boundary")
        if not self._pictures:
            raise Refusal(422, "there is no picture in the form")
        return self._pictures

    def _begin(self) -> None:
        if len(self._pictures) == self._limit:
            raise Refusal(413, f"more than {self._limit} pictures; send them in several requests")
        self._disposition = b""

    def _add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"filename" not in options:
            raise Refusal(
                422,
                f"part {len(self._pictures) + 1} of the form is no file; options belong into "
                "the address: ?score=0.5",
            )
        name = options[b"filename"].decode("utf-8", "replace")
        self._file = name or f"picture {len(self._pictures) + 1}"

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _end_part(self) -> None:
        self._pictures.append(Picture(self._file, bytes(self._content)))
        self._content = bytearray()

    def _finish(self) -> None:
        self._is_complete = True
