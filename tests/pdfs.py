"""Small PDFs for tests, written by hand: Latin and Cyrillic letters, all half as wide as they are high."""

import zlib
from collections.abc import Mapping, Sequence

# Left, bottom, size in points, text.
Line = tuple[float, float, float, str]

LETTERS = bytes(range(32, 256)).decode("cp1251", "replace")


def to_unicode(private: int | None) -> bytes:
    """Map the codes of a font to letters, or to nothing but private characters from `private` on."""
    meanings = [ord(letter) if private is None else private + i for i, letter in enumerate(LETTERS)]
    rows = [f"1 beginbfchar <{code:02X}> <{meaning:04X}> endbfchar" for code, meaning in enumerate(meanings, start=32)]
    head = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Any def /CMapType 2 def"
    return "\n".join([head, "1 begincodespacerange <00> <FF> endcodespacerange", *rows, "endcmap end end"]).encode()


def pdf(
    *pages: Sequence[Line],
    info: Mapping[str, str] | None = None,
    encrypted: bool = False,
    turned: bool = False,
    meaning: int | None = None,
) -> bytes:
    """Make a PDF of one or more pages of US letter size."""
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(len(pages)))
    widths = " ".join(["500"] * len(LETTERS))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        f"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/FirstChar 32/LastChar 255/Widths[{widths}]"
        "/ToUnicode 4 0 R>>".encode(),
        stream(to_unicode(meaning)),
    ]
    for i, lines in enumerate(pages):
        rotate = "/Rotate 90" if turned else ""
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]{rotate}/Contents {6 + 2 * i} 0 R"
            "/Resources<</Font<</F 3 0 R>>>>>>".encode()
        )
        objects.append(stream("\n".join(shown(line, turned) for line in lines).encode()))
    trailer = ""
    if info:
        trailer += f"/Info {len(objects) + 1} 0 R"
        told = "".join(f"/{key}<feff{value.encode('utf-16-be', 'surrogatepass').hex()}>" for key, value in info.items())
        objects.append(f"<<{told}>>".encode())
    if encrypted:
        secret = "ab" * 32
        trailer += f"/Encrypt {len(objects) + 1} 0 R/ID[<{secret}><{secret}>]"
        objects.append(f"<</Filter/Standard/V 1/R 2/O<{secret}>/U<{secret}>/P -4>>".encode())
    return written(objects, trailer)


def stream(body: bytes, packed: bytes | None = None) -> bytes:
    packed = zlib.compress(body) if packed is None else packed
    return b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(packed), packed)


def shown(line: Line, turned: bool) -> str:
    left, bottom, size, text = line
    # A page that is shown turned by 90 degrees is written upward.
    matrix = f"0 1 -1 0 {612 - bottom} {left}" if turned else f"1 0 0 1 {left} {bottom}"
    return f"BT /F {size} Tf {matrix} Tm <{text.encode('cp1251').hex()}> Tj ET"


def written(objects: Sequence[bytes], trailer: str = "") -> bytes:
    out = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + f"trailer\n<</Size {len(objects) + 1}/Root 1 0 R{trailer}>>\nstartxref\n{table}\n%%EOF".encode()


def column(*texts: str, left: float = 72, top: float = 700, size: float = 12, leading: float = 14) -> list[Line]:
    """Set lines one below the other."""
    return [(left, top - i * leading, size, text) for i, text in enumerate(texts)]


def bomb(megabytes: int) -> bytes:
    """Make a small PDF whose one page unpacks to so many megabytes of spaces."""
    packer = zlib.compressobj(9)
    head = packer.compress(b" ") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>",
        stream(b"", head + block * megabytes + packer.flush()),
    ]
    return written(objects)
