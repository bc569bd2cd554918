"""Finds how many sources a model has room for, by its own count of tokens."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.pack import pack
from agent.types import Context, Source
from retrieval.types import Ranked

# Full enough, and how far below the room the next try aims.
FULL, AIM = 0.92, 0.97
TRIES = 5
LARGEST_STEP = 2.0


@dataclass(frozen=True, slots=True)
class Room:
    """How many tokens of sources a model takes. `count` gives those of a context, `chars_per_token` a first guess."""

    tokens: int
    chars_per_token: float
    count: Callable[[Context], Awaitable[int]]


async def fitting_chars(ranked: Sequence[Ranked], room: Room, earlier: Sequence[Source] = ()) -> int:
    """Return the most characters found to which passages can be packed so that they fit; 0 where none do.

    Each try corrects the number of characters by the tokens that the last one took.
    """
    chars, best = int(room.tokens * room.chars_per_token), 0
    for _ in range(TRIES):
        context = pack(ranked, chars, earlier)
        tokens = await room.count(context)
        if tokens <= room.tokens:
            best = max(best, chars)
            if tokens >= FULL * room.tokens or not context.dropped:
                break
        chars = int(chars * min(LARGEST_STEP, AIM * room.tokens / max(1, tokens)))
    return best
