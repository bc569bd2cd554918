"""Turns the bytes of a page into text: byte order mark, valid UTF-8, HTTP label, page's label, detector; in that order.

A label that gives what nobody writes gives way to the next. A label names a codec only through the list below: Python
would take "zlib", "rot13" or "idna" for a charset.
"""

import re

from charset_normalizer import from_bytes

# Labels of the WHATWG Encoding Standard that real pages carry, to Python's codecs; 8859-1 and ASCII mean windows-1252.
CODECS = {
    "utf-8": "utf-8", "utf8": "utf-8", "ascii": "cp1252", "us-ascii": "cp1252", "iso-8859-1": "cp1252",
    "latin1": "cp1252", "iso-8859-9": "cp1254", "koi8-r": "koi8-r", "koi8-u": "koi8-u", "ibm866": "cp866",
    "cp866": "cp866", "x-mac-cyrillic": "mac_cyrillic", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932",
    "sjis": "cp932", "windows-31j": "cp932", "euc-jp": "euc_jp", "iso-2022-jp": "iso2022_jp", "gb2312": "gb18030",
    "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs", "big5-hkscs": "big5hkscs", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "windows-874": "cp874", "tis-620": "cp874", "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be", "utf-16": "utf-16-le", "cp1251": "cp1251", "cp1252": "cp1252", "macintosh": "mac_roman",
    **{f"windows-125{digit}": f"cp125{digit}" for digit in range(9)},
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
}  # fmt: skip
MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# A label that could be read byte by byte does not say UTF-16, whatever it says.
META = re.compile(rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*(?!utf-16)([a-z0-9_:-]{2,40})""", re.IGNORECASE)
XML = re.compile(rb"""\s{0,20}<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([a-z0-9_:-]{2,40})""", re.IGNORECASE)
META_BYTES = 4_096
# A switch to Japanese characters, in ISO-2022-JP.
ISO_2022 = re.compile(rb"\x1b\$[@B]")
# In UTF-16 of markup, of the bytes in every other place at least so many are zero, of those between at most so many.
LEAST_ZEROS, LEAST_ZEROS_SAID, FEW_ZEROS = 0.25, 0.05, 0.02
DETECTOR_BYTES = 65_536
# A label that fits leaves hardly a character undecoded; one that lies leaves many.
MAX_DAMAGE = 0.01
# Bytes that are never the second half of a character in the multi-byte encodings of the list.
BORDER = re.compile(rb"[\n <][^\n <]*\Z")
# Any bytes fit a single-byte codec. Cyrillic in the wrong one has capitals inside its words; in a Western one its words
# consist of accented letters.
WESTERN = frozenset({"cp1252", "cp1254", "iso8859-15", "mac_roman"})
ACCENTED_WORD = re.compile("[\u00c0-\u00ff]{4,}")
LETTER = re.compile(r"[^\W\d_]")
MAX_ACCENTED = 0.3
CYRILLIC = frozenset({"cp1251", "koi8-r", "koi8-u", "cp866", "mac_cyrillic", "iso8859-5"})
PAIR, FALL, RISE = re.compile("(?=[А-яЁё]{2})"), re.compile("[А-ЯЁ][а-яё]"), re.compile("[а-яё][А-ЯЁ]")
FEW_RISES, MAX_RISES = 5, 0.1


def decode(body: bytes, label: str | None) -> str | None:
    """Return the text of a page, or None when no encoding fits. `label` is the charset of the HTTP header."""
    for mark, codec in MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    if wide := _wide(body, LEAST_ZEROS_SAID if label and label.startswith("utf-16") else LEAST_ZEROS):
        return body.decode(wide, "replace")
    for codec in _candidates(body, label):
        text = body.decode(codec, "replace")
        if text.count("\ufffd") <= MAX_DAMAGE * len(text) and not _is_misread(text, codec):
            return text
    return _detected(body)


def _wide(body: bytes, least: float) -> str | None:
    """Tell UTF-16 without a mark by the zeros beside its ASCII, as markup has it: at least such a share."""
    head = body[:META_BYTES]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < least * len(head) / 2 or min(even, odd) > FEW_ZEROS * len(head) / 2:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _candidates(body: bytes, label: str | None) -> list[str]:
    meta = XML.match(body[:META_BYTES]) or META.search(body[:META_BYTES])
    labels = [label, meta[1].decode("ascii").lower() if meta else None]
    codecs = [CODECS[name] for name in labels if name in CODECS]
    # Written in ASCII characters alone, it would pass for UTF-8.
    escaped = ["iso2022_jp"] if ISO_2022.search(body) and "iso2022_jp" in codecs else []
    return [*escaped, *(["utf-8"] if _is_utf8(body) else []), *codecs]


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        # A page cut in the middle of its last character is still UTF-8.
        return error.end >= len(body) - 3 and error.start >= len(body) - 4
    return True


def _is_misread(text: str, codec: str) -> bool:
    """Tell whether a single-byte codec gave words that nobody writes."""
    if codec in WESTERN:
        return sum(map(len, ACCENTED_WORD.findall(text))) > MAX_ACCENTED * len(LETTER.findall(text))
    if codec not in CYRILLIC:
        return False
    rises = len(RISE.findall(text))
    return rises >= FEW_RISES and (rises > len(FALL.findall(text)) or rises > MAX_RISES * len(PAIR.findall(text)))


def _detected(body: bytes) -> str | None:
    head = body[:DETECTOR_BYTES]
    if len(body) > len(head):
        head = BORDER.sub(b"", head)  # half a character at the cut would speak against its encoding
    best = from_bytes(head).best()
    if best is None:
        return None
    return body.decode(best.encoding, "replace")
