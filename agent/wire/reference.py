"""The OpenAPI document as one page that people can read: no script, nothing from elsewhere. Pure."""

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from agent.wire.sse import Json

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { border-top: 1px solid #8888; padding-top: 1.5rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #8884; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
"""


def page(document: Json) -> str:
    """Write the page."""
    told = "".join(f"<p>{escape(part)}</p>" for part in document["info"]["description"].split("\n\n"))
    operations = [
        _operation(verb, path, operation, document)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]
    schemas = document["components"]["schemas"]
    # Of what takes several shapes the first is the one that is read.
    first = {name: schema.get("anyOf", [schema])[0] for name, schema in schemas.items()}
    shapes = [_shape(name, schema) for name, schema in first.items() if "properties" in schema]
    title = f"{document['info']['title']} {document['info']['version']}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><h1>{escape(title)}</h1>{told}'
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p>{"".join(operations)}<h2>Shapes</h2>'
        f"{''.join(shapes)}</html>"
    )


def _operation(verb: str, path: str, operation: Json, document: Json) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    shape = document["components"]["schemas"].get(body.get("$ref", "").rpartition("/")[2])
    headers = _table("Headers", {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "header"})
    replies = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(reply['description'])} {_content(reply)}</td></tr>"
        for status, reply in operation["responses"].items()
    )
    return (
        f"<h2><code>{verb.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}.</p>"
        f"{_table('Fields', shape['properties'], shape.get('required', ())) if shape else ''}{headers}"
        f"<h3>Replies</h3><table>{replies}</table>"
    )


def _content(reply: Json) -> str:
    return "; ".join(map(_media, reply.get("content", {}).values()))


def _media(content: Json) -> str:
    """Name what a body holds, or what the events of a stream hold."""
    if "itemSchema" not in content:
        return _kind(content["schema"])
    data, last = content["itemSchema"]["properties"]["data"]["anyOf"]
    return f"a stream of {_kind(data['contentSchema'])}, then {_kind(last)}"


def _shape(name: str, schema: Json) -> str:
    return f'<section id="{escape(name)}">{_table(name, schema["properties"], schema.get("required", ()))}</section>'


def _table(title: str, fields: Mapping[str, Json], required: Any = ()) -> str:  # noqa: ANN401  (a list, where there is one)
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' (required)' if name in required else ''}</td>"
        f"<td>{_kind(field.get('schema', field))}</td><td>{_said(field)}</td></tr>"
        for name, field in fields.items()
    )
    return f"<h3>{escape(title)}</h3><table>{rows}</table>" if rows else ""


def _said(field: Json) -> str:
    bounds = [
        f"{word} {field[name]}"
        for name, word in (("minimum", "at least"), ("maximum", "at most"), ("maxItems", "at most so many:"))
        if name in field
    ]
    return escape(" ".join([field.get("description", ""), *bounds]).strip())


def _kind(schema: Json) -> str:
    """Name a type, with a link where it is a shape of its own."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("type", schema.get("const", "anything"))))
