"""The model ids that clients may ask for, and how they are listed."""

from dataclasses import dataclass

from agent.errors import ModelNotFound
from agent.types import Effort
from agent.wire.sse import Json


@dataclass(frozen=True, slots=True)
class Offer:
    """A model id that clients may ask for. `effort` None: the server's default, or what the request says."""

    id: str
    name: str
    effort: Effort | None
    search: bool


OFFERS = (
    Offer("wellread", "Wellread", None, search=True),
    Offer("wellread-quick", "Wellread Quick", "low", search=True),
    Offer("wellread-deep", "Wellread Deep", "high", search=True),
    Offer("wellread-chat", "Wellread Chat (no search)", "low", search=False),
)


def find_offer(model: str) -> Offer:
    """Find what a model id offers. Raises ModelNotFound."""
    for offer in OFFERS:
        if offer.id == model:
            return offer
    raise ModelNotFound(model, tuple(offer.id for offer in OFFERS))


def model_body(offer: Offer, created: int, context_tokens: int | None) -> Json:
    """Write how an offer is listed; `created` in Unix seconds, `context_tokens` None where the model does not say."""
    listed: Json = {"id": offer.id, "object": "model", "created": created, "owned_by": "wellread", "name": offer.name}
    if context_tokens is None:
        return listed
    return listed | {"context_length": context_tokens, "max_model_len": context_tokens}
