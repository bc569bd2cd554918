"""The turns of a conversation as clients write them -> messages of text. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.errors import BadRequest
from agent.types import Message, Role
from agent.wire.fields import Body, check_length
from agent.wire.past_answers import past_answer

# What the model's window holds is judged by its own count; this only bounds what is counted.
MAX_QUESTION_CHARS = 400_000
ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "user": "user",
    "tool": "user",
    "function": "user",
}


class Part(Body):
    """One part of a message."""

    type: str
    text: str = ""
    refusal: str = ""


def parts(content: Any) -> Any:  # noqa: ANN401  (whatever a client sends)
    """Read a string as one part; null is a turn without text (a call of a tool)."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError("must be a string or a list of parts")
    return content


@dataclass(frozen=True, slots=True)
class Said:
    """What one turn says; `role` as the client names it, `param` names the turn in the request."""

    role: str
    text: str
    param: str


def said(role: str, content: Sequence[Part], param: str, kinds: frozenset[str]) -> Said:
    """Join the parts of a turn, which must be of these kinds. Raises BadRequest."""
    for place, part in enumerate(content):
        if part.type not in kinds:
            where = f"{param}.content[{place}]"
            raise BadRequest(f"{where}: only text is read here, not {part.type!r}.", where, "unsupported_content")
    texts = [part.text or part.refusal for part in content]
    text = past_answer("".join(texts)) if role == "assistant" else "\n".join(texts)
    return Said(role, text, param)


def messages(turns: Sequence[Said], param: str) -> tuple[Message, ...]:
    """Make messages of the turns that say something; `param` names all of them. Raises BadRequest."""
    asked = next((turn for turn in reversed(turns) if turn.role == "user"), None)
    if asked is not None:
        _check_asked(asked.text, f"{asked.param}.content")
    made = tuple(Message(ROLES[turn.role], turn.text) for turn in turns if turn.text.strip())
    if not made:
        raise BadRequest(f"{param}: nothing in it has any text; send a question.", param)
    return made


def _check_asked(text: str, param: str) -> None:
    check_length(text, param, MAX_QUESTION_CHARS)
    if not text.strip():
        raise BadRequest(f"{param}: there is nothing to answer; write a question.", param)
