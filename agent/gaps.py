"""Asks after a round of reading what is still missing, and makes the queries of the next one.

A model is given the best passages; where it cannot be asked, names in them that the question does not hold are
searched, as in the first round with those of the results.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from agent import prompts
from agent.plan import new_queries
from agent.reason import Model
from agent.structured import structured
from agent.types import Plan, Usage
from retrieval.bridge import bridges
from retrieval.types import Hit, Query, Ranked

SECONDS: Final = 30.0
TOKENS: Final = 200
# What a model is shown of the best passages; a slow one is shown less.
PASSAGES, PASSAGE_CHARS = 16, 500
FEW_PASSAGES, FEW_CHARS = 8, 300
# Names without a model: from so many passages, for so many queries.
NAMED_IN, NAMES = 20, 6
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "missing": {"type": "string", "maxLength": 200},
        "queries": {"type": "array", "maxItems": 4, "items": {"type": "string", "maxLength": 120}},
    },
    "required": ["missing", "queries"],
    "additionalProperties": False,
}


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore")
    missing: str = ""
    queries: list[str] = []


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is missing, in words ("" where nobody could say), and the queries for it; none: the reading is enough."""

    missing: str
    queries: tuple[Query, ...]
    usage: Usage = field(default_factory=Usage)


async def gaps(plan: Plan, ranked: Sequence[Ranked], model: Model) -> Gaps:
    """Tell what is missing after a round. Raises ModelUnavailable."""
    slow = (await model.info()).patience is not None
    count, chars = (FEW_PASSAGES, FEW_CHARS) if slow else (PASSAGES, PASSAGE_CHARS)
    best = [(row.passage.document.title, row.passage.text[:chars]) for row in ranked[:count]]
    told = prompts.gaps(plan.question, plan.beside_question, best, plan.language)
    answer = await structured(told, SCHEMA, _Reply, TOKENS, SECONDS, model)
    if answer.reply is None:
        return Gaps("", names(plan, ranked), answer.usage)
    found = _new(plan, answer.reply.queries)
    # A small model takes much for complete that is not; names cost it nothing.
    return Gaps(answer.reply.missing, (*found, *names(plan, ranked)) if slow else found, answer.usage)


def names(plan: Plan, ranked: Sequence[Ranked]) -> tuple[Query, ...]:
    """Make queries of names in the best passages. Pure."""
    best = [_as_hit(row) for row in ranked[:NAMED_IN]]
    found = bridges(plan.question, best, NAMES + len(plan.further), plan.language)
    return _new(plan, [f"{name} {plan.question}" for name in found])[:NAMES]


def _as_hit(row: Ranked) -> Hit:
    document = row.passage.document
    return Hit(document.url, document.title, row.passage.text)


def _new(plan: Plan, texts: Sequence[str]) -> tuple[Query, ...]:
    """Return queries for the texts that have not been searched."""
    filters = plan.queries[0].filters if plan.queries else Query("").filters
    return new_queries(texts, plan.language, filters, plan.all_queries)
