"""Writes the pages of the sample web as HTML: docstrings and reStructuredText to blocks, blocks to a page. Pure.

Reads only as much of reStructuredText as docstrings and READMEs use; what it does not know stays readable text.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

MAX_CHARS = 200_000
LANGUAGE_REFERENCE = "Python language reference"
STANDARD_LIBRARY = "Python standard library"
PACKAGE = "Python package"

UNDERLINE = re.compile(r"([=\-~^\"'*+#`.])\1{2,}")
LIST_ITEM = re.compile(r"(?:[-*•]|\d+[.)])\s+")
DIRECTIVE = re.compile(r"\.\. ?(?P<kind>[\w-]+)::")
INLINE = re.compile(
    r"``(?P<literal>.+?)``"
    r"|(?::[\w:+-]+:)`[~!]?(?P<role>[^`<]+?)(?:\s*<[^`]*>)?`"
    r"|`(?P<text>[^`<]+?)\s*<(?P<url>https?://[^`>]+)>`_{1,2}"
    r"|`(?P<quoted>[^`]+)`_{0,2}"
    r"|\*\*(?P<strong>[^*\s](?:[^*]*[^*\s])?)\*\*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SamplePage:
    """One page. `path` is its address on the site; `text` is what a reader sees, for the index."""

    path: str
    name: str
    title: str
    text: str
    html: str


def page(path: str, name: str, summary: str, kind: str, blocks: list[str]) -> SamplePage:
    """Put the blocks of a page into its frame; blocks beyond the limit are left out."""
    kept = list(_within_limit(blocks))
    top = f"{name} — {summary}" if summary else name
    title = f"{top} ({kind})"
    return SamplePage(path, name, title, "\n".join(plain(block) for block in kept), frame(title, top, kept))


def frame(title: str, top: str, blocks: list[str]) -> str:
    """Return a whole HTML page."""
    body = "\n".join(blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n</head>\n'
        '<body>\n<header><nav><a href="/">Home</a> <a href="/#library">Standard library</a> '
        '<a href="/#reference">Language</a> <a href="/#packages">Packages</a></nav></header>\n'
        f"<main><article>\n<h1>{escape(top)}</h1>\n{body}\n</article></main>\n"
        "<footer><small>Made from the documentation installed with Python.</small></footer>\n</body>\n</html>\n"
    )


def heading(text: str, level: int) -> str:
    """Return a heading of plain text."""
    return f"<h{level}>{escape(text, quote=False)}</h{level}>"


def paragraph(text: str) -> str:
    """Return a paragraph; inline markup is understood."""
    return f"<p>{inline(text)}</p>"


def plain(html: str) -> str:
    """Return the text of a block that this module wrote."""
    text = re.sub(r"<[^>]+>", "", html)
    return (
        text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", '"')
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
    )


def inline(text: str) -> str:
    """Return a run of text as HTML: code, links and strong words."""
    out, position = [], 0
    for match in INLINE.finditer(text):
        out += [escape(text[position : match.start()], quote=False), _span(match)]
        position = match.end()
    return "".join(out) + escape(text[position:], quote=False)


def prose(text: str, level: int) -> list[str]:
    """Return the blocks of a docstring or a reStructuredText file; its headings start at `level`."""
    out: list[str] = []
    for chunk in re.split(r"\n(?:[ \t]*\n)+", text.expandtabs().strip("\n")):
        for block in _blocks(chunk.strip("\n").rstrip(), level):
            if block.startswith("<pre>") and out and out[-1].startswith("<pre>"):
                out[-1] = out[-1].removesuffix("</pre>") + "\n\n" + block.removeprefix("<pre>")
            else:
                out.append(block)
    return out


def summary(text: str, limit: int = 110) -> str:
    """Return the first sentence of a text, for a title."""
    first = next((chunk for chunk in re.split(r"\n\s*\n", text.strip()) if chunk.strip()), "")
    words = " ".join(re.sub(r"<https?:[^>]*>", "", plain(inline(first))).split()).lstrip("#*= ")
    sentence = re.split(r"(?<=[a-z)])[.!?:](?:\s|$)", words, maxsplit=1)[0].rstrip(" .:")
    return textwrap.shorten(sentence, limit, placeholder="…")


def _within_limit(blocks: list[str]) -> Iterator[str]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > MAX_CHARS:
            return
        yield block


def _span(match: re.Match[str]) -> str:
    value = next(group for group in match.groups() if group is not None)
    shown = escape(value, quote=False)
    if match["url"]:
        return f'<a href="{escape(match["url"].strip())}">{shown}</a>'
    if match["strong"]:
        return f"<strong>{shown}</strong>"
    return f"<code>{shown}</code>" if match["literal"] or match["role"] else shown


def _blocks(chunk: str, level: int) -> Iterator[str]:
    """Turn lines without a blank line among them into blocks."""
    lines = chunk.split("\n")
    if not lines[0].strip():
        return
    if DIRECTIVE.match(lines[0]) or lines[0].startswith((".. _", ".. |")):
        yield from _directive(lines, level)
    elif title := _underlined(lines):
        yield heading(title, level)
        yield from _blocks("\n".join(lines[3 if UNDERLINE.fullmatch(lines[0].strip()) else 2 :]), level)
    elif LIST_ITEM.match(lines[0].lstrip()):
        yield _listing(lines)
    elif lines[0].startswith((" ", ">>>", "+--", "===")):
        yield _code(chunk)
    else:
        yield from _paragraphs(lines, level)


def _directive(lines: list[str], level: int) -> Iterator[str]:
    """Keep what a directive says to a reader; images, targets and options say nothing."""
    kind = DIRECTIVE.match(lines[0])
    body = [line for line in lines[1:] if not re.match(r"\s*:[\w-]+:", line)]
    if kind and kind["kind"] not in {"image", "figure", "contents", "toctree", "raw", "include"}:
        argument = lines[0].partition("::")[2].strip()
        if kind["kind"] not in {"code", "code-block", "sourcecode", "parsed-literal"} and argument:
            yield paragraph(argument)
        if body:
            yield from _blocks("\n".join(body), level)


def _underlined(lines: list[str]) -> str | None:
    """Return the text of a heading over (or between) lines of punctuation."""
    if len(lines) >= 3 and UNDERLINE.fullmatch(lines[0].strip()) and lines[2].strip() == lines[0].strip():
        return plain(inline(lines[1].strip()))
    if len(lines) >= 2 and lines[0][:1].strip() and UNDERLINE.fullmatch(lines[1]) and not UNDERLINE.fullmatch(lines[0]):
        return plain(inline(lines[0].strip()))
    return None


def _listing(lines: list[str]) -> str:
    """Return a list; a line that opens no item continues the one before."""
    items: list[str] = []
    for line in lines:
        if (mark := LIST_ITEM.match(line.lstrip())) or not items:
            items.append(line.lstrip()[mark.end() if mark else 0 :])
        else:
            items[-1] += " " + line.strip()
    return "<ul>" + "".join(f"<li>{inline(item)}</li>" for item in items) + "</ul>"


def _code(text: str) -> str:
    return f"<pre>{escape(textwrap.dedent(text), quote=False)}</pre>"


def _paragraphs(lines: list[str], level: int) -> Iterator[str]:
    """Return the unindented lines at the head as a paragraph, and what hangs below them as blocks of its own."""
    end = next((i for i, line in enumerate(lines) if i and _breaks(line)), len(lines))
    text = " ".join(line.strip() for line in lines[:end])
    if text != "::":
        yield paragraph(text[:-1] if text.endswith("::") else text)
    rest = "\n".join(lines[end:])
    if rest:
        yield from _blocks(rest, level)


def _breaks(line: str) -> bool:
    return line.startswith((" ", ">>>")) or bool(LIST_ITEM.match(line))
