"""Unpacks compressed bodies as they come, to their end, in bounded pieces: a bomb is counted before it is held.

HTTP clients that decode by themselves take a body that was cut off for a whole one. gzip may come in several members
(RFC 1952), with something behind them that is none; "deflate" is zlib's format (RFC 1950), or bare in practice.
"""

import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator
from typing import Any, Final

# Only codings whose output can be bounded while decoding.
OFFERED: Final = "gzip, deflate"
GZIP: Final = frozenset({"gzip", "x-gzip"})
PLAIN: Final = frozenset({"", "identity"})
TAKEN: Final = GZIP | PLAIN | {"deflate"}
PIECE_BYTES: Final = 65_536
GZIP_MAGIC: Final = b"\x1f\x8b"
FRAME_BYTES: Final = 2
DEFLATE_METHOD: Final = 8
# More members are a bomb of headers.
MOST_MEMBERS: Final = 100


class DamagedBody(Exception):
    """A compressed body that cannot be unpacked, or was cut off."""


async def unpacked(pieces: AsyncIterable[bytes], coding: str) -> AsyncGenerator[bytes, None]:
    """Yield a body as it was before it was packed by one of `TAKEN`. Raises DamagedBody."""
    if coding in PLAIN:
        async for piece in pieces:
            yield piece
        return
    unpacker = _Unpacker(coding)
    async for piece in pieces:
        for part in unpacker.feed(piece):
            yield part
    yield unpacker.end()


class _Unpacker:
    """One body."""

    def __init__(self, coding: str) -> None:
        self._gzip = coding in GZIP
        self._stream: Any = None  # zlib's own type has no name
        self._held = b""
        self._members = 0
        self._over = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Unpack one piece. Raises DamagedBody."""
        while piece and not self._over:
            if self._stream is None:
                piece, self._held = self._held + piece, b""
                if len(piece) < FRAME_BYTES:
                    self._held = piece
                    return
                self._begin(piece)
                continue
            yield self._unpacked(self._stream.decompress, piece, PIECE_BYTES)
            piece = self._stream.unconsumed_tail
            if self._stream.eof:
                piece, self._stream = self._stream.unused_data, None

    def end(self) -> bytes:
        """Return what is left to unpack. Raises DamagedBody where something is missing at the end."""
        if self._stream is None:
            if self._held and not self._members:
                raise DamagedBody("the body was cut off")
            return b""
        rest = self._unpacked(self._stream.flush)
        if not self._stream.eof:
            raise DamagedBody("the body was cut off")
        return rest

    def _begin(self, head: bytes) -> None:
        """Begin the first or the next member; what stands behind the last one is left."""
        if self._members and not (self._gzip and head.startswith(GZIP_MAGIC)):
            self._over = True
            return
        if self._members >= MOST_MEMBERS:
            raise DamagedBody(f"more than {MOST_MEMBERS} members")
        self._members += 1
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16 if self._gzip else _bits(head))

    def _unpacked(self, work: Callable[..., bytes], *arguments: Any) -> bytes:  # noqa: ANN401  (as zlib takes them)
        try:
            return work(*arguments)
        except zlib.error as error:
            raise DamagedBody(str(error)) from error


def _bits(head: bytes) -> int:
    """Return zlib's `wbits` for "deflate": with its frame, whose first two bytes are told by a check sum, or bare."""
    framed = head[0] % 16 == DEFLATE_METHOD and int.from_bytes(head[:FRAME_BYTES], "big") % 31 == 0
    return zlib.MAX_WBITS if framed else -zlib.MAX_WBITS
