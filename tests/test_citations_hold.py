"""A scripted model cites right, wrong, missing and repeated sources in every form; what reaches the client is right.

The model's words are cut into a stream at random places; the answer is read from the bytes that a client gets.
"""

import json
import math
import random
import re
from itertools import pairwise

import pytest

from agent.answering import from_sources
from agent.pack import pack
from agent.progress import unproven
from agent.reason import Finished
from agent.types import Coverage, Message, Plan, Question, Reading, Text, Timings, Usage
from agent.wire.chat_reply import ChatStream, Chunks, Head
from retrieval.types import Document, Passage, Ranked
from tests.watched import Watched

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]

# What each page says, a list of sentences a page; the model will say the same words.
PAGES = {
    "en": [
        ["The Brandt Tower in Lindau is 214 metres high", "It was opened by mayor Irena Vold in 1974"],
        ["The old pier of Seaford burned down on 3 March 1921", "Its iron pillars were sold to a shipyard in Leith"],
        ["Mauve sheep of the Orm valley give 4.2 kg of wool a year", "Shepherds shear them twice, in May and October"],
        ["The comet Halvorsen returns every 76 years", "Astronomer Pia Roth first photographed its tail in Chile"],
    ],
    "ru": [
        ["Башня Брандта в Линдау имеет высоту 214 метров", "Её открыла мэр Ирена Вольд в 1974 году"],
        ["Старый причал Сифорда сгорел 3 марта 1921 года", "Железные опоры причала продали верфи в Лейте"],
        ["Лиловые овцы долины Орм дают 4,2 кг шерсти в год", "Пастухи стригут овец дважды, в мае и октябре"],
        ["Комета Халворсен возвращается каждые 76 лет", "Астроном Пия Рот впервые сняла хвост кометы в Чили"],
    ],
}
INVENTED = {
    "en": ["Dragons guard a hidden treasure beneath the castle", "The emperor banned purple umbrellas across Portugal"],
    "ru": ["Драконы стерегут клад под старинным замком", "Император запретил фиолетовые зонты по всей Португалии"],
}
PLAIN = {"en": "This answers what was asked", "ru": "Это отвечает на вопрос"}
FORMS = (
    "[{}]",
    "[ {} ]",
    "[[{}]]",
    "[[{}]](https://elsewhere.example/a)",
    "[{}](https://elsewhere.example/b)",
    "[citation:{}]",
    "[webpage {}]",
    "[Source: {}]",
    "【{}】",
    "【citation:{}】",
)
LISTS = ("[{}]", "【{}】", "[[{}]]", "[citation: {}]")
# Stands for a number that no source has.
MISSING = 40


def page(language, number):
    text = ". ".join(PAGES[language][number]) + "."
    url = f"https://site{number}.example/страница_({number})"
    return Document(url, f"Page {number}", text, f"site{number}.example", "2024-05-01", language)


def reading(language):
    documents = [page(language, number) for number in range(len(PAGES[language]))]
    ranked = tuple(Ranked(Passage(one, 0, len(one.text)), 1.0, 1.0) for one in documents)
    plan = Plan("?", language, ())
    return Reading(plan, ranked, pack(ranked, 10_000), Coverage(), Timings())


def urls(language):
    return [
        f"https://site{number}.example/%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0_%28{number}%29"
        for number in range(len(PAGES[language]))
    ]


def written(draw, language):
    """Make an answer as the model writes it, and as it should reach the client: `<2>` for a mark of page 2."""
    told, right = "", ""
    for _ in range(draw.randint(1, 6)):
        kind = draw.choice(("page", "page", "page", "invented", "plain"))
        if kind == "plain":
            told, right = f"{told}{PLAIN[language]}. ", f"{right}{PLAIN[language]}. "
            continue
        number = draw.randrange(len(PAGES[language])) if kind == "page" else MISSING
        said = draw.choice(PAGES[language][number] if kind == "page" else INVENTED[language])
        cited = [draw.choice((number, draw.randrange(4), MISSING)) for _ in range(draw.randint(1, 3))]
        place = draw.choice(("{} {}. ", "{}{}. ", "{}. {} ", "{}.{}\n\n", "- {} {}.\n"))
        told += place.format(said, marks(draw, cited))
        proven = number != MISSING and set(cited) != {MISSING}
        right += place.format(said, f"<{number}>") if proven else "{}".join(place.rsplit(" {}", 1)).format(said, "")
    marked = "[" in told or "【" in told
    if marked and not any(said in told for page in PAGES[language] for said in page):
        right = right.strip() + unproven(language)
    return told.strip(), right.strip()


def marks(draw, cited):
    numbers = [str(number + 1) for number in cited]
    if draw.random() < 0.3:
        return draw.choice(LISTS).format(draw.choice((", ", "; ", ",")).join(numbers))
    return "".join(draw.choice(FORMS).format(number) for number in numbers)


class Scripted(Watched):
    def __init__(self, pieces):
        super().__init__()
        self._pieces = pieces

    async def say(self, prompt):
        for piece in self._pieces:
            yield Text(piece)
        yield Finished(Usage(1, len(self._pieces)), "stop")


def cut(draw, text):
    places = sorted(draw.randint(0, len(text)) for _ in range(draw.randint(0, 40)))
    return [text[a:b] for a, b in pairwise([0, *places, len(text)])]


async def received(tools, pieces, language):
    """Answer, and read the stream as a client does; gives its text, and the body of its last chunk."""
    tools.model = Scripted(pieces)
    stream, wire = ChatStream(Chunks(Head("id", 0, "wellread", "f"))), []

    async def emit(event):
        wire.append(stream.event(event))

    asked = Question((Message("user", "Что известно об этом?" if language == "ru" else "What is known of this?"),))
    await emit(await from_sources(asked, reading(language), tools, emit, math.inf))
    chunks = [json.loads(line[6:]) for line in b"".join(wire).decode().splitlines() if line.startswith("data: ")]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    return text, chunks[-1]


def check(text, last, right, language):
    """Hold what a client got against what it should get."""
    places, numbers = urls(language), [int(number) for number in re.findall(r"<(\d)>", right)]
    order = list(dict.fromkeys(numbers))
    shown = re.sub(r"<(\d)>", lambda one: f"[[{order.index(int(one[1])) + 1}]]({places[int(one[1])]})", right)
    assert text == shown
    assert last["citations"] == [places[number] for number in order]
    found = [mark["url_citation"] for mark in last["choices"][0]["delta"].get("annotations", [])]
    spans = [one.span() for one in re.finditer(r"\[\[\d\]\]\([^)]*\)", shown)]
    assert [(mark["start_index"], mark["end_index"]) for mark in found] == spans
    assert [mark["url"] for mark in found] == [places[number] for number in numbers]
    for mark, number in zip(found, numbers, strict=True):
        assert mark["quote"] in page(language, number).text
    assert all(mark["quote"] is None for mark in last["unsupported"])


async def tried(tools, draw, language):
    told, right = written(draw, language)
    text, last = await received(tools, cut(draw, told), language)
    check(text, last, right, language)


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("seed", range(3))
async def test_what_reaches_the_client_is_right(equipped, language, seed):
    async with equipped() as tools:
        for number in range(40):
            await tried(tools, random.Random(f"{language} {seed} {number}"), language)


@pytest.mark.fuzz
@pytest.mark.parametrize("language", ["en", "ru"])
async def test_what_reaches_the_client_is_right_in_ten_thousand_streams(equipped, language):
    async with equipped() as tools:
        for number in range(5_000):
            await tried(tools, random.Random(f"{language} {number}"), language)


DISAGREEING = {
    "en": (
        ["The Brandt Tower in Lindau is 241 metres high"],
        "The Brandt Tower in Lindau is 214 metres high",
        "disagree",
    ),
    "ru": (
        ["Башня Брандта в Линдау имеет высоту 241 метр"],
        "Башня Брандта в Линдау имеет высоту 214 метров",
        "расходятся",
    ),
}


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_an_answer_with_one_of_two_values_is_told_of_the_other(equipped, monkeypatch, language):
    sentences, said, word = DISAGREEING[language]
    monkeypatch.setitem(PAGES, language, [*PAGES[language][:3], sentences])
    async with equipped() as tools:
        text, last = await received(tools, [f"{said} [1]."], language)

    answer, told = text.split("\n\n")
    assert answer.startswith(said)
    assert word in told
    assert sentences[0] in told
    first, same, other = last["choices"][0]["delta"]["annotations"]
    assert [mark["url_citation"]["url"] for mark in (first, same, other)] == [urls(language)[n] for n in (0, 0, 3)]
    assert last["coverage"]["cited"] == 2


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_a_stop_string_of_the_client_ends_it_all(equipped, language):
    async with equipped() as tools:
        tools.model = Scripted([f"{INVENTED[language][0]} [1]. STOP more"])
        asked = Question((Message("user", "?"),), stop=("STOP",))
        made = await from_sources(asked, reading(language), tools, nowhere, math.inf)

    assert made.text.strip() == f"{INVENTED[language][0]}."


async def nowhere(event):
    pass
