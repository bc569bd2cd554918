"""Tells binary files by their first bytes, whatever they are called: WHATWG MIME Sniffing's list, and some more."""

from typing import Final

SIGNATURES: Final = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"), (0, b"GIF87a", "a GIF image"), (0, b"GIF89a", "a GIF image"),
    (0, b"\xff\xd8\xff", "a JPEG image"), (8, b"WEBPVP", "a WebP image"), (4, b"ftypisom", "a video"),
    (4, b"ftypmp4", "a video"), (4, b"ftypavi", "an AVIF image"), (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypM4", "a video"), (4, b"ftypqt  ", "a video"),
    (0, b"\x00\x00\x01\x00", "an icon"), (0, b"II*\x00", "a TIFF image"), (0, b"MM\x00*", "a TIFF image"),
    (0, b"8BPS\x00", "a Photoshop file"), (8, b"WAVEfmt", "audio"), (0, b"ID3\x02", "audio"), (0, b"ID3\x03", "audio"),
    (0, b"ID3\x04", "audio"), (0, b"fLaC\x00", "audio"), (0, b"OggS\x00", "audio or video"),
    (8, b"AVI LIST", "a video"),
    (0, b"\x1a\x45\xdf\xa3", "a video"), (0, b"FLV\x01", "a video"), (0, b"wOFF", "a font"), (0, b"wOF2", "a font"),
    (0, b"OTTO\x00", "a font"), (0, b"\x00\x01\x00\x00\x00", "a font"), (0, b"\x1f\x8b\x08", "a gzip archive"),
    (0, b"PK\x03\x04", "a zip archive"), (0, b"PK\x05\x06", "a zip archive"), (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"BZh91AY&SY", "a bzip2 archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"), (257, b"ustar", "a tar archive"), (0, b"\x7fELF", "a program"),
    (0, b"MZ\x90\x00", "a program"), (0, b"\xca\xfe\xba\xbe", "a program"), (0, b"\xcf\xfa\xed\xfe", "a program"),
    (0, b"\x00asm", "a program"), (0, b"SQLite format 3\x00", "a database"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1", "an Office file"),
)  # fmt: skip


def binary_kind(body: bytes | bytearray) -> str | None:
    """Name the kind of binary file that some first bytes begin; None for text, PDF, and what is not known."""
    head = bytes(body[:512])
    return next((kind for start, mark, kind in SIGNATURES if head.startswith(mark, start)), None)
