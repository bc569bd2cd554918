"""What of a page is taken for its main text."""

import pytest
from lxml.html import fromstring

from retrieval.main_text import main_text

EN = [
    "The pier was opened in 1899, after eight years of building, and has been a landmark of the town ever since.",
    "Its engineer, Richard St George Moore, had wanted iron columns screwed into the chalk, as the old pier had.",
    "In the war the middle of the pier was taken out, so that no enemy could land, and it was rebuilt in 1946.",
]
RU = [
    "Пирс открыли в 1899 году, после восьми лет строительства, и с тех пор он остаётся символом города.",
    "Инженер Ричард Сент-Джордж Мур хотел поставить железные колонны на винтовых сваях, как у старого пирса.",
    "Во время войны середину пирса разобрали, чтобы противник не мог высадиться, и восстановили её в 1946 году.",
]
EL = [
    "Η προβλήτα άνοιξε το 1899, ύστερα από οκτώ χρόνια εργασιών, και από τότε είναι το σύμβολο της πόλης.",
    "Ο μηχανικός της ήθελε σιδερένιες κολόνες, βιδωμένες μέσα στον ασβεστόλιθο, όπως και στην παλιά προβλήτα.",
    "Στον πόλεμο αφαίρεσαν το μεσαίο τμήμα, για να μην μπορεί να αποβιβαστεί ο εχθρός, και το έχτισαν ξανά.",
]
NAVIGATION = "".join(f"<li><a href='/{word}'>{word}</a></li>" for word in ("Home", "Weather", "Sport", "Contact"))
COMMENT = "I walked there last summer with the children, and the doughnuts were, as always, the best part of it."
RELATED = "".join(
    f"<div class='teaser'><a href='/{i}'>Council to vote on the {thing}</a></div>"
    for i, thing in enumerate(("harbour", "library", "new bridge", "bus lanes"))
)


def page(paragraphs: list[str]) -> str:
    return f"""<html><head><title>Pier</title><style>p {{color: red}}</style></head><body class="no-sidebar">
      <header><ul class="menu">{NAVIGATION}</ul></header>
      <div class="article"><h1>Palace Pier</h1>{"".join(f"<p>{text}</p>" for text in paragraphs)}</div>
      <aside class="related"><h3>More news</h3>{RELATED}</aside>
      <div id="comments"><h3>Comments</h3><div class="comment"><p>{COMMENT}</p></div></div>
      <footer><p>© 2024 The Gazette. All rights reserved. <a href="/terms">Terms</a></p></footer></body></html>"""


@pytest.mark.parametrize("paragraphs", [EN, RU, EL], ids=["en", "ru", "el"])
def test_the_article_is_kept_and_what_stands_around_it_is_not(paragraphs):
    text = main_text(fromstring(page(paragraphs)))
    assert all(paragraph in text for paragraph in paragraphs)
    for word in ("Weather", "library", "doughnuts", "rights reserved"):
        assert word not in text


def test_a_page_wrapped_in_a_form_is_read():
    html = page(EN).replace("<body", "<body><form").replace("</body>", "</form></body>")
    assert all(paragraph in main_text(fromstring(html)) for paragraph in EN)


def test_the_cells_of_a_row_stay_together():
    rows = "".join(
        f"<tr><td>{year}</td><td>{n} visitors came to the pier.</td></tr>" for year, n in ((2023, 5), (2024, 7))
    )
    html = page(EN).replace(EN[2], f"{EN[2]}</p><p>Visitors by year:</p><table>{rows}</table><p>{EN[0]}")
    assert "2023 | 5 visitors came to the pier.\n2024 | 7 visitors came to the pier." in main_text(fromstring(html))


@pytest.mark.parametrize("html", ["<html></html>", "<html><body></body></html>", "<html><body><p> </p></body></html>"])
def test_a_page_without_text_has_no_main_text(html):
    assert main_text(fromstring(html)) == ""


def test_links_alone_are_no_main_text():
    assert main_text(fromstring(f"<html><body><ul>{NAVIGATION}</ul>{RELATED}</body></html>")) == ""
