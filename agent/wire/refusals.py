"""How errors are written in OpenAI's shape, and how pydantic's complaints become ones that name the field."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.errors import AgentError, BadRequest
from agent.wire.sse import Json


def error_body(error: AgentError) -> Json:
    """Write an error in OpenAI's shape."""
    return {"error": {"message": str(error), "type": error.type, "param": error.param, "code": error.code}}


def invalid_request(errors: Sequence[Mapping[str, Any]]) -> BadRequest:
    """Say the first of pydantic's complaints in OpenAI's shape, with the path of the field."""
    first = errors[0]
    path = [step for step in first["loc"] if step != "body"]
    if first["type"] == "json_invalid":
        return BadRequest(f"The body is not valid JSON: {first['ctx']['error']} at character {path[-1]}.")
    if not path:
        return BadRequest("The body must be a JSON object, sent with 'Content-Type: application/json'.")
    param = _param(path)
    return BadRequest(f"{param}: {str(first['msg']).removeprefix('Value error, ')}.", param)


def _param(path: Sequence[str | int]) -> str:
    """Write a path as clients know it: messages[0].content."""
    path = [step for step in path if step != "[key]"]
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
