import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.decode import CODECS, MARKS, decode

RUSSIAN = (
    "Москва - столица России, город федерального значения, административный центр. Население города составляет "
    "более тринадцати миллионов человек. Первое упоминание о городе относится к двенадцатому веку."
)
JAPANESE = "東京は日本の首都であり、世界最大級の都市のひとつである。人口は千四百万人を超える。"
CHINESE = "北京是中华人民共和国的首都，也是全国的政治中心和文化中心。人口超过两千万。"
FRENCH = "« L’été dernier, à Orléans », a-t-il répété – déçu… c’était “à côté” de la forêt."
WRITINGS = [
    ("windows-1251", "cp1251", RUSSIAN),
    ("koi8-r", "koi8-r", RUSSIAN),
    ("shift_jis", "cp932", JAPANESE),
    ("gb2312", "gb18030", CHINESE),
    ("windows-1252", "cp1252", FRENCH),
    ("iso-8859-1", "cp1252", FRENCH),
]
# Python knows these names, or fails on them in odd ways; none of them is the charset of a page.
HOSTILE = [
    "zlib",
    "hex",
    "rot13",
    "idna",
    "utf-7",
    "undefined",
    "punycode",
    "base64",
    "mbcs",
    "",
    "x" * 1_000_000,
    "\0",
]


def page(text: str, codec: str, label: str | None = None) -> bytes:
    meta = f'<meta http-equiv="Content-Type" content="text/html; charset={label}">' if label else ""
    return f"<html><head>{meta}</head><body><p>{text}</p></body></html>".encode(codec)


@pytest.mark.parametrize(("mark", "codec"), MARKS)
def test_a_byte_order_mark_decides_whatever_the_labels_say(mark, codec):
    assert decode(mark + RUSSIAN.encode(codec), "koi8-r") == RUSSIAN


@pytest.mark.parametrize(("label", "codec", "text"), WRITINGS)
def test_the_header_names_the_charset(label, codec, text):
    assert text in decode(page(text, codec), label)


@pytest.mark.parametrize(("label", "codec", "text"), WRITINGS)
def test_the_page_names_its_charset(label, codec, text):
    assert text in decode(page(text, codec, label.upper()), None)


@pytest.mark.parametrize(
    "meta", ["<meta charset=koi8-r>", "<META CharSet = 'KOI8-R' />", '<meta\nname=x charset="koi8-r"']
)
def test_ways_to_write_a_label(meta):
    assert RUSSIAN in decode(meta.encode() + RUSSIAN.encode("koi8-r"), None)


def test_the_header_comes_before_the_page():
    assert RUSSIAN in decode(page(RUSSIAN, "cp1251", "koi8-r"), "windows-1251")


@pytest.mark.parametrize("label", [None, "windows-1251", "shift_jis", "utf-16le", "iso-8859-1"])
@pytest.mark.parametrize("text", [RUSSIAN, JAPANESE, FRENCH, "", "plain"])
def test_valid_utf_8_is_utf_8_whatever_the_label_says(text, label):
    assert decode(text.encode(), label) == text


def test_a_page_cut_in_its_last_character_is_still_utf_8():
    assert decode(f"{RUSSIAN} да".encode()[:-1], "koi8-r") == f"{RUSSIAN} д\ufffd"


def test_a_label_that_does_not_fit_gives_way_to_the_next():
    assert RUSSIAN in decode(page(RUSSIAN, "cp1251", "windows-1251"), "utf-8")


def test_a_page_that_says_utf_16_in_single_bytes_is_not():
    assert RUSSIAN in decode(page(RUSSIAN, "cp1251", "utf-16"), None)


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r", "cp866"])
def test_russian_without_any_label_is_detected(codec):
    assert RUSSIAN in decode(page(RUSSIAN, codec), None)


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_that_are_no_charsets_are_passed_over(label):
    assert decode(RUSSIAN.encode(), label) == RUSSIAN
    assert RUSSIAN in decode(page(RUSSIAN, "cp1251"), label)
    assert RUSSIAN in decode(page(RUSSIAN, "cp1251", label[:60]), None)


def test_bytes_that_fit_no_encoding_are_no_text():
    assert decode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, None) is None


def test_every_codec_in_the_list_exists():
    assert {"x".encode(codec).decode(codec) for codec in CODECS.values()} == {"x"}


LABELS = st.none() | st.sampled_from([*CODECS, *HOSTILE[:-1]]) | st.text(max_size=50)


@settings(max_examples=60)
@given(st.binary(max_size=300), LABELS, st.sampled_from([b"", b"<meta charset=", *(mark for mark, _ in MARKS)]))
def test_no_bytes_and_no_label_raise(body, label, head):
    assert isinstance(decode(head + body, label), str | None)


def test_an_xml_declaration_names_the_charset():
    body = f'<?xml version="1.0" encoding="KOI8-R"?><html><body>{RUSSIAN}</body></html>'.encode("koi8-r")
    assert RUSSIAN in decode(body, None)


@pytest.mark.parametrize(
    ("label", "codec"),
    [("iso-8859-1", "cp1251"), ("windows-1252", "koi8-r"), ("koi8-r", "cp1251"), ("windows-1251", "koi8-r"),
     ("windows-1251", "iso8859-5")],
)  # fmt: skip
def test_a_label_that_garbles_russian_gives_way(label, codec):
    assert RUSSIAN in decode(page(RUSSIAN * 5, codec), label)
    assert RUSSIAN in decode(page(RUSSIAN * 5, codec, codec.replace("cp", "windows-").replace("iso8", "iso-8")), label)


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("windows-1251", "cp1251", "ВСЁ ПРОПИСНЫМИ. " * 20),
        ("windows-1251", "cp1251", "ТелеКом, ГазПром, ЦентроБанк и ещё СберБанк: пишут и так. " + RUSSIAN),
        ("iso-8859-1", "cp1252", FRENCH * 5),
        ("windows-1254", "cp1254", "Çağdaş şiirin öncüsü, güçlü ışığıyla yeni yüzyılı görüyordu. " * 5),
        ("iso-8859-1", "cp1252", "Þórður Ægisson sagði: það er ætíð áþekkt. " * 5),
    ],
)
def test_a_label_that_is_right_stays(label, codec, text):
    assert text in decode(page(text, codec), label)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("codec", ["euc_jp", "cp932", "cp949"])
def test_a_long_page_without_a_label_is_not_cut_inside_a_character(codec, shift):
    sentence = "대한민국의 수도는 서울이다. 인구는 약 천만 명이다. " if codec == "cp949" else JAPANESE + "\n"
    text = "x" * shift + sentence * 1_500
    assert decode(text.encode(codec), None) == text


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_zeros(codec):
    page = "<html><head><title>Причал</title></head><body><p>Длина причала 80 метров.</p></body></html>"
    assert decode(page.encode(codec), None) == page


def test_japanese_in_seven_bits_is_not_taken_for_utf_8():
    page = '<html><head><meta charset="iso-2022-jp"></head><body>橋の長さは412メートル</body></html>'
    assert decode(page.encode("iso2022_jp"), None) == page
    assert decode(page.encode("iso2022_jp"), "iso-2022-jp") == page
