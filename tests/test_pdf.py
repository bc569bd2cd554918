import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.extract import Extractor, clean
from retrieval.limits import ExtractLimits
from retrieval.pdf import UnreadablePdf, is_pdf, pdf_fields
from retrieval.types import Document, Hit, Page, Skipped
from tests.pdfs import bomb, column, pdf

LIMITS = ExtractLimits(workers=1)
# Lines of one paragraph, set as wide as they would be in print.
PIER = (
    "The pier is eighty meters long and was built of oak in the year",
    "1890. It was opened by the mayor on a rainy day in October, and",
    "closed a year later.",
)
RUSSIAN = (
    "Причал длиной восемьдесят метров построен из дуба в 1890 году, а",
    "открыт он был городским головой в дождливый октябрьский день при",
    "большом стечении народа.",
)


def text(*pages, **options) -> str:
    return pdf_fields(pdf(*pages, **options), LIMITS)["text"]


def title(*lines, **info) -> str:
    return pdf_fields(pdf(lines or column(*PIER), info=info), LIMITS)["title"]


def cleaned(body: bytes, kind="application/pdf", limits=LIMITS) -> Document | Skipped:
    return clean(Page(Hit("https://a.org/x.pdf", "Hit"), "https://a.org/x.pdf", kind, None, body, 1), limits)


# Paragraphs


@pytest.mark.parametrize("lines", [PIER, RUSSIAN])
@pytest.mark.parametrize("turned", [False, True])
def test_the_lines_of_a_paragraph_are_joined(lines, turned):
    assert text(column(*lines), turned=turned) == " ".join(lines)


def test_a_gap_parts_paragraphs():
    below = column("A second paragraph begins here, and it is just as wide as that", "before it.", top=640)
    assert text(column(*PIER) + below).split("\n\n") == [" ".join(PIER), below[0][3] + " " + below[1][3]]


def test_an_indent_parts_paragraphs():
    lines = [*column(*PIER[:2]), (90, 672, 12, "An indented line begins another paragraph, and it goes on")]
    lines += column("with this line.", top=658)
    assert text(lines).split("\n") == [" ".join(PIER[:2]), f"{lines[2][3]} {lines[3][3]}"]


def test_a_line_with_room_for_the_next_word_ends_its_paragraph():
    lines = ("Oak", "Ash", *PIER)
    assert text(column(*lines)).split("\n") == ["Oak", "Ash", " ".join(PIER)]


def test_a_heading_stays_by_itself():
    lines = [(72, 700, 20, "A long heading that reaches the right edge"), *column(*PIER, top=680)]
    assert text(lines).split("\n")[0] == "A long heading that reaches the right edge"


def test_items_of_a_list_stay_apart_and_keep_their_lines():
    lines = column("1. The first item is so long that it does not fit in one line of", top=700)
    lines += column("this page.", left=86, top=686)
    lines += column("2. The second item is so long that it takes all of its only line", top=672)
    lines += column("• The third is a bullet.".replace("•", "-"), top=658)
    assert text(lines).split("\n") == [f"{lines[0][3]} {lines[1][3]}", lines[2][3], lines[3][3]]


def test_rows_of_figures_stay_rows():
    rows = [
        "Net income of the year before tax $ 122,641 $ 266,799 $ 112,403",
        "Other assets and liabilities in all (1,912) 1,334 5,939",
    ]
    assert text(column(*rows, *PIER)).split("\n")[:2] == rows


def test_cells_of_one_row_come_on_one_line():
    assert text([(72, 700, 12, "Length"), (300, 700, 12, "eighty meters"), *column(*PIER, top=600)]).startswith(
        "Length eighty meters\n"
    )


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("The programme was written and then translated by the inter-", "national committee.", "international"),
        ("Программа установки Debian обеспечивает автоматическое обнару-", "жение оборудования.", "обнаружение"),
        ("It was the best of all the piers that were ever built by a well-", "known architect.", "well-known"),
        ("They were all of them closed in the time of the spread of COVID-", "19 in the town.", "COVID-19"),
    ],
)  # fmt: skip
def test_hyphens_at_line_ends(first, second, joined):
    assert joined in text([*column(first, second), *column("A well-known pier.", top=600)])


def test_columns_are_read_one_after_the_other():
    left = column("The left column goes on", "and on in short lines as", "far as the foot, where it")
    right = column("ends and continues at the", "top of the right one.", left=330)
    assert text(left + right) == " ".join(line[3] for line in left + right)


def test_pages_part_paragraphs():
    assert text(column(*PIER[:2]), column(PIER[2])) == f"{PIER[0]} {PIER[1]}\n\n{PIER[2]}"


# Headers, footers, page numbers


WOODS = ("oak", "ash", "elm", "fir", "yew", "larch", "birch")


def running(count: int) -> list:
    """Make pages that share a header, a page number in its place, and a paragraph in their middle."""
    return [
        [
            (72, 760, 9, "The Harbor Handbook"),
            *column(f"Of {wood}.", f"Its {wood} grain.", f"More {wood}.", *PIER, f"On {wood}.", f"The {wood} leaf."),
            (300, 40, 9, str(number)),
        ]
        for number, wood in enumerate(WOODS[:count], start=7)
    ]


def test_what_stands_on_every_page_is_kept_once():
    seen = text(*running(7))
    assert seen.count("The Harbor Handbook") == 1
    assert not any(f"\n{number}" in seen for number in range(7, 14))
    assert seen.count(" ".join(PIER)) == 7
    assert all(f"Of {wood}." in seen and f"The {wood} leaf." in seen for wood in WOODS)


def test_what_stands_on_two_pages_is_no_header():
    assert text(*running(2)).count("The Harbor Handbook") == 2


def test_figures_of_a_table_are_no_page_numbers():
    pages = [column("Ash", "12 30 4", "Oak", f"{number * number} 2 5", top=740) for number in range(5)]
    assert text(*pages).count("12 30 4") == 5


# Title and date


@pytest.mark.parametrize("told", ["The Harbor Handbook", "Руководство по установке", "habibi", "Form 8-K for Pepsico"])
def test_the_title_is_told(told):
    assert title(Title=told) == told


@pytest.mark.parametrize(
    "told", ["", " ", "Microsoft Word - harbor.doc", "harbor_v2.indd", "untitled", "0001065280-16-000047", "Слайд 1",
             "C:\\work\\harbor", "report_final", "1", "Slide 1", "Документ1"]
)  # fmt: skip
def test_a_title_that_a_program_made_up_gives_way_to_the_heading(told):
    lines = [(72, 740, 20, "The Pier"), (72, 716, 20, "of Oak"), *column(*PIER)]
    assert title((72, 760, 9, "Harbor Press"), *lines, Title=told) == "The Pier of Oak"


def test_a_title_with_half_a_character_is_none():
    assert title(Title="The Harbor \ud83d") == PIER[0]


def test_without_a_heading_the_first_line_is_the_title():
    assert title((72, 760, 12, "12.3 4,5"), *column(*PIER)) == PIER[0]


def test_a_russian_title_in_the_wrong_letters_is_mended():
    assert title(*column(*RUSSIAN), Title="Причал".encode("cp1251").decode("cp1252") + " 1890") == "Причал 1890"


@pytest.mark.parametrize(
    ("info", "day"),
    [
        ({"CreationDate": "D:20240305102030+03'00'"}, "2024-03-05"),
        ({"CreationDate": "", "ModDate": "D:20210102"}, "2021-01-02"),
        ({"CreationDate": "D:20241399", "ModDate": "D:20210102"}, "2021-01-02"),
        ({"CreationDate": "D:00000000000000"}, None),
        ({"CreationDate": "D:99990101"}, None),
        ({"CreationDate": "yesterday"}, None),
        ({}, None),
    ],
)
def test_dates(info, day):
    assert pdf_fields(pdf(column(*PIER), info=info), LIMITS)["date"] == day


# What cannot be read


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (pdf(column(*PIER), encrypted=True), "bad_encoding"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 50, "wrong_type"),
        (pdf(column(*PIER))[:300], "wrong_type"),
        (b"%PDF-", "wrong_type"),
        (b"<html><body><p>Please log in to read this PDF.</p></body></html>", "wrong_type"),
        (pdf([]), "empty"),
        (pdf(column("Scan")), "empty"),
    ],
)
def test_a_pdf_without_text_is_skipped_with_its_reason(body, reason):
    outcome = cleaned(body)
    assert isinstance(outcome, Skipped)
    assert outcome.reason == reason


def test_letters_without_a_meaning_are_no_text():
    outcome = cleaned(pdf(column(*PIER), meaning=0xF000))
    assert isinstance(outcome, Skipped)
    assert outcome.reason == "bad_encoding"


def test_long_pdfs_are_cut():
    pages = [column(*PIER, f"This is page {number}.") for number in range(1, 6)]
    few = pdf_fields(pdf(*pages), ExtractLimits(pdf_pages=2))["text"]
    assert "page 2" in few
    assert "page 3" not in few
    quick = pdf_fields(pdf(*pages), ExtractLimits(pdf_seconds=0.0))["text"]
    assert "page 1" in quick
    assert "page 5" not in quick
    outcome = cleaned(pdf(*pages), limits=ExtractLimits(max_chars=200))
    assert isinstance(outcome, Document)
    assert len(outcome.text) == 200


@pytest.mark.parametrize("kind", ["application/pdf", "application/octet-stream", "", "text/html"])
def test_a_pdf_is_known_by_its_first_bytes(kind):
    outcome = cleaned(pdf(column(*PIER), info={"Title": "The Harbor Handbook"}), kind)
    assert isinstance(outcome, Document)
    assert (outcome.title, outcome.text, outcome.language) == ("The Harbor Handbook", " ".join(PIER), "en")


@pytest.mark.anyio
async def test_a_bomb_ends_its_worker_and_not_the_service():
    async with Extractor(LIMITS) as extractor:
        page = Page(Hit("https://a.org/x", "T"), "https://a.org/x", "application/pdf", None, bomb(2_000), 1)
        assert len(page.body) < 3_000_000
        outcome = await extractor.extract(page)
        assert isinstance(outcome, Skipped)
        assert outcome.reason == "parser_limit"
        page = Page(page.hit, page.url, page.content_type, None, pdf(column(*PIER)), 1)
        assert isinstance(await extractor.extract(page), Document)


GOOD = pdf(column(*PIER), column(*RUSSIAN), info={"Title": "T"})


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(9, len(GOOD) - 1), st.binary(min_size=1, max_size=8)), max_size=12))
def test_no_damage_raises_anything_else(damage):
    body = bytearray(GOOD)
    for place, piece in damage:
        body[place : place + len(piece)] = piece
    assert is_pdf(bytes(body))
    try:
        fields = pdf_fields(bytes(body), LIMITS)
    except UnreadablePdf:
        return
    assert isinstance(fields["text"], str)
