"""What the fields of every request obey: null is absent, kinds are JSON's, texts hold words. Pure.

Fields that are not named in a request are ignored and never passed on to a model.
"""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema, model_validator

from agent.errors import BadRequest

WORD_CHARACTER = re.compile(r"[^\W_]")
# How the document says what has_word holds.
WORDED: Any = {"pattern": WORD_CHARACTER.pattern}
NULL: Any = {"type": "null"}


def nullable(schema: dict[str, Any]) -> None:
    """Say that every field which may be left out may be null too."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if name not in required:
            said = {key: field.pop(key) for key in ("title", "description", "default", "examples") if key in field}
            kinds = field["anyOf"] if list(field) == ["anyOf"] else [field]
            schema["properties"][name] = {"anyOf": [*(kind for kind in kinds if kind != NULL), NULL], **said}


def only(value: object) -> WithJsonSchema:
    """Document that a field takes one value alone; others are refused with a message that names the remedy."""
    return WithJsonSchema({"const": value})


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Drop what is null; 3.0 is an integer in JSON, whose numbers are of one kind."""
    whole = {name: int(value) for name, value in fields.items() if isinstance(value, float) and value.is_integer()}
    return {name: value for name, value in {**fields, **whole}.items() if value is not None}


class Body(BaseModel):
    """What every request shares: null is absent, unknown fields are ignored, "1" is no number and 1 is not true."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False, json_schema_extra=nullable)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: object) -> object:
        if not isinstance(data, dict):
            raise ValueError("must be a JSON object")
        nested = data.get("extra_body")
        return _without_nulls(nested if isinstance(nested, dict) else {}) | _without_nulls(data)


def listed(value: object) -> object:
    """Read one string as a list of it."""
    return [value] if isinstance(value, str) else value


def check_length(text: str, param: str, limit: int) -> None:
    """Raise BadRequest for a text of more characters than the limit."""
    if len(text) > limit:
        raise BadRequest(f"{param}: {len(text)} characters are too many; shorten it to at most {limit}.", param)


def has_word(text: str) -> bool:
    """Tell whether a text has a letter or a digit, without which there is nothing to search for."""
    return WORD_CHARACTER.search(text) is not None
