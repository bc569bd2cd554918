import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fit import Room, fitting_chars
from agent.pack import pack
from retrieval.types import Document, Passage, Ranked

pytestmark = pytest.mark.anyio


def passages(count: int, chars: int = 400) -> list[Ranked]:
    rows = []
    for number in range(count):
        text = f"{number} " + "word " * (chars // 5)
        rows.append(
            Ranked(Passage(Document(f"https://a.example/{number}", "T", text, "a.example"), 0, len(text)), 1, 1)
        )
    return rows


def room(tokens: int, chars_per_token: float, guess: float) -> tuple[Room, list[int]]:
    """Make the room of a model whose tokens hold so many characters, guessed otherwise."""
    counted: list[int] = []

    async def count(context) -> int:
        counted.append(round(len(context.text) / chars_per_token))
        return counted[-1]

    return Room(tokens, guess, count), counted


@pytest.mark.parametrize("guess", [0.5, 1.0, 3.4, 4.0, 12.0])
async def test_the_context_is_as_long_as_the_model_takes_whatever_was_guessed(guess):
    rows = passages(80)
    there, counted = room(3_000, 4.0, guess)
    context = pack(rows, await fitting_chars(rows, there))
    tokens = len(context.text) / 4.0
    assert 0.85 * 3_000 <= tokens <= 3_000
    assert len(counted) <= 5


async def test_a_good_guess_is_counted_once():
    rows = passages(80)
    there, counted = room(3_000, 4.0, 4.0)
    await fitting_chars(rows, there)
    assert len(counted) == 1


async def test_few_passages_are_all_taken():
    rows = passages(3)
    there, counted = room(3_000, 4.0, 3.4)
    assert len(pack(rows, await fitting_chars(rows, there)).sources) == 3
    assert len(counted) == 1


async def test_where_nothing_fits_nothing_is_packed():
    rows = passages(3)
    there, _ = room(10, 0.001, 400.0)
    assert not pack(rows, await fitting_chars(rows, there)).sources


@given(tokens=st.integers(1, 5_000), real=st.floats(0.5, 6), guess=st.floats(0.5, 6))
async def test_what_was_found_to_fit_fits(tokens, real, guess):
    rows = passages(30)
    there, _ = room(tokens, real, guess)
    assert round(len(pack(rows, await fitting_chars(rows, there)).text) / real) <= tokens
