import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.language_watch import FIRST_LETTERS, LanguageWatch, asks_for_another

RUSSIAN = "Старый пирс в Брайтоне построили из железа, и длина его пятьсот двадцать пять метров. "
ENGLISH = "The old pier of Brighton was built of iron and it is five hundred metres long, they say. "
CHINESE = "布莱顿的旧码头是用铁建造的，长五百二十五米，于十九世纪开放，至今仍吸引着许多游客。"


def shown(watch: LanguageWatch, text: str, size: int = 3) -> str:
    return "".join(watch.feed(text[i : i + size]) for i in range(0, len(text), size)) + watch.flush()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ru", RUSSIAN * 5),
        ("en", ENGLISH * 5),
        ("zh", CHINESE * 5),
        ("fr", ENGLISH * 5),
        ("ru", "Ответ дал Brighton Pier Heritage Group: " + RUSSIAN),
        ("ru", "Вот код:\n```python\n" + ENGLISH * 9 + "\n```\n" + RUSSIAN),
        ("ru", "Microsoft Corp."),
        ("en", RUSSIAN[:20] + "is how they put it. " + ENGLISH),
        ("ru", "525 [1]. " * 40),
        (None, CHINESE * 5),
    ],
)
def test_text_in_its_own_language_comes_through(language, text):
    watch = LanguageWatch(language)
    assert shown(watch, text) == text
    assert not watch.drifted


@pytest.mark.parametrize(
    ("language", "text"),
    [("ru", ENGLISH), ("ru", CHINESE * 2), ("en", CHINESE * 2), ("en", RUSSIAN), ("zh", ENGLISH), ("ru", ENGLISH[:40])],
)
def test_a_beginning_in_another_language_is_never_shown(language, text):
    watch = LanguageWatch(language)
    assert shown(watch, text) == ""
    assert watch.drifted


@pytest.mark.parametrize(("language", "own", "other"), [("ru", RUSSIAN, ENGLISH), ("en", ENGLISH, CHINESE)])
def test_a_drift_in_mid_text_ends_it(language, own, other):
    watch = LanguageWatch(language)
    text = shown(watch, own * 5 + other * 10 + own)
    assert watch.drifted
    assert text.startswith(own * 5)
    assert len(text) < len(own * 5 + other * 5)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Переведи на японский: доброе утро", True),
        ("Как сказать спасибо по-китайски?", True),
        ("Расскажи о пирсе на английском языке", True),
        ("How do you say good morning in Japanese?", True),
        ("Translate this", True),
        ("Какой длины старый пирс в Брайтоне?", False),
        ("How long is the old pier in Brighton?", False),
    ],
)
def test_a_question_may_want_another_language(text, asked):
    assert asks_for_another(text) is asked


@given(st.lists(st.text(alphabet="aяß漢`1 .", max_size=9)), st.sampled_from(["ru", "en", "zh", None]))
def test_what_is_shown_is_the_text_up_to_the_drift_wherever_it_is_cut(pieces, language):
    watch, text = LanguageWatch(language), "".join(pieces)
    out = "".join(watch.feed(piece) for piece in pieces) + watch.flush()
    assert text.startswith(out)
    assert out == text or watch.drifted


@given(st.lists(st.integers(1, 9), min_size=40, max_size=80))
def test_code_is_code_wherever_it_is_cut(sizes):
    text, place, watch = RUSSIAN + "```" + ENGLISH * 3 + "```" + RUSSIAN, 0, LanguageWatch("ru")
    for size in sizes:
        watch.feed(text[place : place + size])
        place += size
    watch.feed(text[place:])
    watch.flush()
    assert not watch.drifted


def test_figures_are_not_held_back_for_want_of_letters():
    watch = LanguageWatch("ru")
    assert "99, 100" in "".join(watch.feed(f"{number}, ") for number in range(120))


def test_the_first_letters_are_held_back():
    watch = LanguageWatch("ru")
    assert watch.feed(RUSSIAN[: FIRST_LETTERS // 2]) == ""
    assert watch.feed(RUSSIAN) == RUSSIAN[: FIRST_LETTERS // 2] + RUSSIAN
