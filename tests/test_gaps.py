import json

import pytest

from agent.gaps import NAMES, gaps, names
from agent.reason import Patience
from agent.types import Plan, Usage
from retrieval.types import Document, Passage, Query, Ranked, SearchFilters
from tests.test_plan import Scripted

pytestmark = pytest.mark.anyio
ASKED = "Where was the author of The Blue Lighthouse born?"
FILTERS = SearchFilters(excluded_domains=("a.org",))
PLAN = Plan(ASKED, "en", (Query(ASKED, None, FILTERS),), further=(Query("The Blue Lighthouse author"),))
SLOW = Patience(1_000, 100, 200)


def ranked(*texts: str) -> list[Ranked]:
    documents = [Document(f"https://b.org/{n}", f"Page {n}", text, "b.org") for n, text in enumerate(texts)]
    return [Ranked(Passage(document, 0, len(document.text)), 1.0, 1.0) for document in documents]


NOVEL = ranked("The Blue Lighthouse is a novel by Irena Vold. It came out in 1998.", "Other lighthouses are red.")


def said(missing: str, *queries: str) -> str:
    return json.dumps({"missing": missing, "queries": queries})


async def test_the_model_names_what_is_missing():
    model = Scripted(said("where Irena Vold was born", "Irena Vold born", "место рождения Ирены Волд"))
    lack = await gaps(PLAN, NOVEL, model)
    assert lack.missing == "where Irena Vold was born"
    assert lack.queries == (Query("Irena Vold born", None, FILTERS), Query("место рождения Ирены Волд", "ru", FILTERS))
    assert lack.usage == Usage(1, 1)
    (prompt,) = model.prompts
    assert (prompt.thinking_tokens, prompt.schema["required"]) == (0, ["missing", "queries"])
    asked = prompt.messages[0].content
    assert f"Question: {ASKED}\n- Page 0: The Blue Lighthouse is a novel by Irena Vold." in asked
    assert asked.endswith("Searched already: The Blue Lighthouse author")


async def test_nothing_missing_ends_the_rounds():
    assert (await gaps(PLAN, NOVEL, Scripted(said("")))).queries == ()


async def test_what_was_searched_is_not_searched_again():
    lack = await gaps(PLAN, NOVEL, Scripted(said("the author", "the blue lighthouse AUTHOR", ASKED)))
    assert lack.queries == ()


async def test_without_a_reply_names_in_the_best_passages_are_searched():
    lack = await gaps(PLAN, NOVEL, Scripted("I would search for the author."))
    assert lack.missing == ""
    assert f"Irena Vold {ASKED}" in [query.text for query in lack.queries]
    assert lack.queries == names(PLAN, NOVEL)


async def test_a_small_model_that_finds_nothing_missing_is_not_believed():
    lack = await gaps(PLAN, NOVEL, Scripted(said(""), patience=SLOW))
    assert lack.queries == names(PLAN, NOVEL)


async def test_a_small_model_is_shown_less():
    shown = []
    for patience in (None, SLOW):
        model = Scripted(said(""), patience=patience)
        await gaps(PLAN, ranked(*["word " * 400] * 30), model)
        shown.append(model.prompts[0].messages[0].content.count("word"))
    assert shown[1] < shown[0] / 2


def test_names_are_few_and_new():
    many = ranked(*(f"It was written by Irena{'a' * n} Vold{'b' * n} of The Blue Lighthouse." for n in range(15)))
    assert 0 < len(names(PLAN, many)) <= NAMES
    searched = Plan(ASKED, "en", PLAN.queries, further=names(PLAN, NOVEL))
    assert not set(names(searched, NOVEL)) & set(searched.further)
