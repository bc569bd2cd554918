"""Computes which R1 distill and which embedder fit beside one another on a card, and vLLM's share of it.

Nothing here is measured: weights and memory of conversations follow from the models' configurations, the rest is
assumed and named at the top. `python deploy/gpu_memory.py --card 44.4` computes it for a card of yours, in GiB as vLLM
tells at its start; without it the table of README.md is printed.
"""

import argparse
import math
import sys
from dataclasses import dataclass

GIB = 1 << 30
# As vLLM sees them: what the driver keeps is already taken off.
CARDS = {"24 GB": 23.5, "48 GB": 47.4, "80 GB": 79.2}
CONTEXT = 32_768
# What a question of medium effort may fill: sources, thoughts and answer of agent/settings.py, and its own words.
QUESTION_TOKENS = 8_000 + 4_096 + 2_048 + 1_000
# Assumed, in GiB: what CUDA and its libraries hold for each process; vLLM's captured graphs, which it may not count.
CUDA_GIB = 0.6
GRAPHS_GIB = 1.0
# Never more: a card's memory is not whole, and a desktop may draw on it too.
MOST = 0.95
# vLLM fills a batch of so many tokens at once, and picks words for so many requests.
BATCH_TOKENS, REQUESTS = 8_192, 256
# FAISS sets so much of a card of more than 8 GiB aside, whatever it is asked.
FAISS_GIB = 1.5
# The embedder's own batches: retrieval/embedders/sentence_transformers.py has the texts, the models cut at 512 tokens.
EMBEDDED_TEXTS, EMBEDDED_TOKENS = 32, 512


@dataclass(frozen=True, slots=True)
class Distill:
    """The shape of a decoder with grouped attention heads of 128 numbers each; `bits` of a weight between layers."""

    name: str
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    bits: float = 16.0

    @property
    def weights_bytes(self) -> float:
        """Return what the weights take. The words at both ends stay in 16 bits."""
        attention = self.hidden * 128 * (2 * self.heads + 2 * self.kv_heads)
        layers = self.layers * (attention + 3 * self.hidden * self.inner)
        return layers * self.bits / 8 + 2 * self.vocabulary * self.hidden * 2

    @property
    def token_bytes(self) -> int:
        """Return what one token of a conversation takes: keys and values of every layer, in 16 bits."""
        return 2 * self.layers * self.kv_heads * 128 * 2

    @property
    def batch_bytes(self) -> int:
        """Return what a full batch takes: its widest layer, and the odds of every word in 32 bits."""
        return BATCH_TOKENS * (3 * self.inner + 4 * self.hidden) * 2 + 2 * REQUESTS * self.vocabulary * 4


@dataclass(frozen=True, slots=True)
class Embedder:
    """The shape of an encoder whose inner layer is four times as wide, in 32 bits as sentence-transformers loads it."""

    name: str
    layers: int
    hidden: int
    vocabulary: int
    positions: int

    @property
    def weights_bytes(self) -> int:
        """Return what the weights take."""
        return 4 * (self.layers * 12 * self.hidden**2 + (self.vocabulary + self.positions) * self.hidden)

    @property
    def batch_bytes(self) -> int:
        """Return what a batch takes: inputs, outputs and the inner layer, twice for the allocator."""
        return 2 * EMBEDDED_TEXTS * EMBEDDED_TOKENS * 8 * self.hidden * 4

    @property
    def gib(self) -> float:
        """Return what the server takes of the card, FAISS included."""
        return CUDA_GIB + FAISS_GIB + (self.weights_bytes + self.batch_bytes) / GIB


# 4 bits: 4 of each weight and 16 for each 128 of them. 8 bits are FP8.
FOUR, EIGHT = 4 + 16 / 128, 8.0
DISTILLS = {
    "7b": Distill("Distill-Qwen-7B", 28, 3584, 18944, 28, 4, 152_064),
    "8b": Distill("R1-0528-Qwen3-8B", 36, 4096, 12288, 32, 8, 151_936),
    "8b-8": Distill("R1-0528-Qwen3-8B, 8 bits", 36, 4096, 12288, 32, 8, 151_936, EIGHT),
    "14b-4": Distill("Distill-Qwen-14B, 4 bits", 48, 5120, 13824, 40, 8, 152_064, FOUR),
    "14b": Distill("Distill-Qwen-14B", 48, 5120, 13824, 40, 8, 152_064),
    "32b-4": Distill("Distill-Qwen-32B, 4 bits", 64, 5120, 27648, 40, 8, 152_064, FOUR),
    "32b-8": Distill("Distill-Qwen-32B, 8 bits", 64, 5120, 27648, 40, 8, 152_064, EIGHT),
    "32b": Distill("Distill-Qwen-32B", 64, 5120, 27648, 40, 8, 152_064),
}
EMBEDDERS = (
    Embedder("multilingual-e5-small", 12, 384, 250_037, 512),
    Embedder("multilingual-e5-base", 12, 768, 250_002, 514),
    Embedder("multilingual-e5-large", 24, 1024, 250_002, 514),
    Embedder("bge-m3", 24, 1024, 250_002, 8_194),
)
NONE = 0.0


@dataclass(frozen=True, slots=True)
class Fit:
    """What vLLM gets of a card beside what else is on it: its share, and the tokens of conversations that it holds."""

    share: float
    tokens: int

    @property
    def whole(self) -> bool:
        """Tell whether one conversation of the whole context fits."""
        return self.tokens >= CONTEXT


def fit(card_gib: float, distill: Distill, beside_gib: float) -> Fit:
    """Compute vLLM's share of a card on which the server takes `beside_gib`, and what is left for conversations."""
    share = min(MOST, math.floor(100 * (card_gib - beside_gib - GRAPHS_GIB) / card_gib) / 100)
    fixed = distill.weights_bytes + distill.batch_bytes + CUDA_GIB * GIB
    return Fit(share, max(0, math.floor((share * card_gib * GIB - fixed) / distill.token_bytes)))


def cell(found: Fit) -> str:
    """Write what fits: the share, the tokens, and how many questions of medium effort they are."""
    if not found.whole:
        return f"no ({found.tokens // 1_000}k)"
    return f"{found.share:.2f}: {found.tokens // 1_000}k, {found.tokens // QUESTION_TOKENS}"


def rows(cards: dict[str, float]) -> list[list[str]]:
    """Return the table, a row for each card and model of which at least one embedder leaves the whole context."""
    head = ["card", "model", "on the processor", *(embedder.name for embedder in EMBEDDERS)]
    table = [head, ["---"] * len(head)]
    for card, gib in cards.items():
        for distill in DISTILLS.values():
            fits = [fit(gib, distill, beside) for beside in (NONE, *(embedder.gib for embedder in EMBEDDERS))]
            if any(found.whole for found in fits):
                table.append([card, distill.name, *map(cell, fits)])
    return table


def parts() -> list[list[str]]:
    """Return what each model takes, part by part, in GiB."""
    table = [["model", "weights", "a batch", "a token, KiB", "32,768 tokens"], ["---"] * 5]
    for each in DISTILLS.values():
        sizes = (each.weights_bytes / GIB, each.batch_bytes / GIB)
        token = (str(each.token_bytes >> 10), f"{CONTEXT * each.token_bytes / GIB:.1f}")
        table.append([each.name, *(f"{size:.1f}" for size in sizes), *token])
    table.extend(
        [row.name, f"{row.weights_bytes / GIB:.1f}", f"{row.batch_bytes / GIB:.1f}", "", ""] for row in EMBEDDERS
    )
    return table


def markdown(table: list[list[str]]) -> str:
    """Write a table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in table)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Which model and embedder fit beside one another on a card.")
    parser.add_argument("--card", type=float, metavar="GIB", help="memory of a card of yours, in GiB")
    given = parser.parse_args().card
    cards = {f"{given:g} GiB": given} if given else CARDS
    sys.stdout.write(f"{markdown(parts())}\n{markdown(rows(cards))}")


if __name__ == "__main__":
    main()
