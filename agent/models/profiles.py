"""How to talk to each kind of model behind an OpenAI-compatible API, and which kind one is. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from agent.reason import Prompt
from agent.types import Message

R1_NAME: Final = re.compile(r"deepseek.?r|(?<![a-z0-9])r1(?![a-z0-9])", re.IGNORECASE)
DEEPSEEK_HOST: Final = "api.deepseek.com"
# vLLM's own: ends the thought when its tokens are spent, so that the answer keeps its share of max_tokens.
THINKING_BUDGET: Final = "thinking_token_budget"
# Up to here DeepSeek's API is asked for little thought.
LITTLE_THOUGHT_TOKENS: Final = 1_024
THINK_FIRST: Final = (
    "First think it through, step by step, between <think> and </think>. After </think> write the answer alone."
)


@dataclass(frozen=True, slots=True)
class Profile:
    """How one kind of model is asked, and how its replies are read.

    `thinks`: "budget" for as many tokens as vLLM allows it, "switch" by DeepSeek's own field, "prompted" because it is
    asked to, "never". `inside`: its text begins within a thought, because no reasoning parser runs at its server.
    """

    name: str
    thinks: Literal["budget", "switch", "prompted", "never"]
    takes_system: bool = True
    inside: bool = False
    sampling: Mapping[str, float] = field(default_factory=dict)
    context_tokens: int = 32_768

    def messages(self, prompt: Prompt) -> tuple[Message, ...]:
        """Return the turns as this kind is sent them."""
        sent = prompt.messages if self.takes_system else without_system(prompt.messages)
        if self.thinks != "prompted" or not prompt.thinking_tokens or prompt.schema is not None:
            return sent
        *earlier, last = sent
        return (*earlier, Message(last.role, f"{last.content}\n\n{THINK_FIRST}"))

    def fields(self, prompt: Prompt) -> dict[str, Any]:
        """Return the fields of a request that tell of thinking and of the form of the answer."""
        schema = prompt.schema
        match self.thinks:
            case "budget":
                thinking: dict[str, Any] = {THINKING_BUDGET: prompt.thinking_tokens}
            case "switch":
                thinking = _switch(prompt.thinking_tokens)
            case _:
                thinking = {}
        if schema is None:
            return thinking
        return thinking | {"response_format": _json_object() if self.thinks == "switch" else _json_schema(schema)}


# DeepSeek's advice for R1: no system turn, and no greedy decoding, which makes it repeat itself.
R1: Final = Profile("r1", "budget", takes_system=False, sampling={"temperature": 0.6, "top_p": 0.95})
DEEPSEEK_API: Final = Profile("deepseek-api", "switch", context_tokens=128_000)
# A server without a reasoning parser refuses a budget, so none is sent.
PLAIN: Final = Profile("plain", "prompted")
PROFILES: Final[Mapping[str, Profile]] = {profile.name: profile for profile in (R1, DEEPSEEK_API, PLAIN)}


@dataclass(frozen=True, slots=True)
class FirstReply:
    """What a model began its first reply with."""

    reasoning: bool
    text: str


def told_apart(name: str, model: str, reply: FirstReply | None, *, think: bool = True) -> Profile:
    """Choose the profile of a model: by the setting `name`, or for "auto" by its id and its first reply.

    `reply` None: there was none. `think` False: one that does not think of itself is not asked to.
    """
    thinks = reply is not None and (reply.reasoning or reply.text.lstrip().startswith("<think"))
    if name == "auto":
        name = "r1" if thinks or R1_NAME.search(model) else "plain"
    profile = PROFILES[name]
    if profile is PLAIN and not think:
        return replace(profile, thinks="never")
    if profile is R1 and reply is not None and not thinks:
        return replace(profile, inside=True)
    return profile


def without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put the system text at the head of the first user turn: R1 was trained without."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    if not system or not rest:
        return tuple(rest) or messages
    first = next((place for place, message in enumerate(rest) if message.role == "user"), 0)
    rest[first] = Message("user", f"{system}\n\n{rest[first].content}")
    return tuple(rest)


def _switch(tokens: int) -> dict[str, Any]:
    if not tokens:
        return {"thinking": {"type": "disabled"}}
    effort = "low" if tokens <= LITTLE_THOUGHT_TOKENS else "high"
    return {"thinking": {"type": "enabled"}, "reasoning_effort": effort}


def _json_object() -> dict[str, Any]:
    return {"type": "json_object"}


def _json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}
