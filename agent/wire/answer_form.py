"""The form of an answer that a request asks for, and what is no form. Pure."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from agent.errors import BadRequest
from agent.types import AnswerForm

MAX_SCHEMA_CHARS = 100_000
# Those who read a schema descend it by recursion.
MAX_SCHEMA_DEPTH = 40
# A schema that names another draft is read by this one; nothing is fetched to read it by.
DRAFT = "https://json-schema.org/draft/2020-12/schema"
FORMS: Any = {"enum": ["text", "json_object", "json_schema"]}


def answer_form(kind: str, schema: object, param: str) -> AnswerForm | None:
    """Read the form of an answer; None for plain text. `schema` goes with json_schema. Raises BadRequest."""
    if kind == "text":
        return None
    if kind == "json_object":
        return AnswerForm({"type": "object"})
    if kind != "json_schema":
        message = f"{param}.type: must be text, json_object or json_schema, not {kind!r}."
        raise BadRequest(message, f"{param}.type", "unsupported_value")
    if not isinstance(schema, dict):
        raise BadRequest(f"{param}: json_schema needs a JSON schema, as an object.", param)
    _check_schema(schema, param)
    return AnswerForm(schema)


def _check_schema(schema: dict[str, Any], param: str) -> None:
    if _is_deeper(schema, MAX_SCHEMA_DEPTH):
        raise BadRequest(f"{param}: the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels.", param)
    if len(_written(schema, param)) > MAX_SCHEMA_CHARS:
        raise BadRequest(f"{param}: the schema is longer than {MAX_SCHEMA_CHARS} characters.", param)
    try:
        jsonschema_rs.meta.validate(schema | {"$schema": DRAFT})
        patterns = [{"pattern": pattern} for pattern in _patterns(schema)]
        jsonschema_rs.Draft202012Validator({"allOf": [True, *patterns]})
    except jsonschema_rs.ValidationError as error:
        raise BadRequest(f"{param}: not a valid JSON schema: {error.message[:200]}.", param) from error
    except ValueError as error:
        raise BadRequest(f"{param}: the schema holds half characters, which no UTF-8 can write.", param) from error


def _written(schema: dict[str, Any], param: str) -> str:
    try:
        return json.dumps(schema, allow_nan=False)
    except ValueError as error:
        raise BadRequest(f"{param}: NaN and Infinity are no JSON; take them out of the schema.", param) from error


def _is_deeper(value: object, levels: int) -> bool:
    """Tell whether lists and objects are nested more than so many levels, without descending further."""
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _inside(outer)]
    return bool(layer)


def _patterns(value: object) -> Iterator[str]:
    """List the regular expressions in a schema."""
    if isinstance(value, dict):
        yield from (text for text in (value.get("pattern"),) if isinstance(text, str))
        named = value.get("patternProperties")
        yield from named if isinstance(named, dict) else ()
    for inner in _inside(value):
        yield from _patterns(inner)


def _inside(value: object) -> list[object]:
    """List the lists and objects right inside one."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in inner if isinstance(one, dict | list)]
