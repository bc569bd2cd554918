"""Keeps out of a streaming answer what leads elsewhere than to the pages it rests on, wherever the stream is cut.

A page may tell a model to show a picture or a link whose address carries off what the user asked, and what is shown as
Markdown may be loaded without a click. So an answer has no pictures and no HTML, its links go to its sources or to what
the user named, and other addresses are not written out. Code, where nothing is a link, stays as it is. Pure.
"""

import re
from collections.abc import Iterable
from typing import Final

from retrieval import urls

REMOVED: Final = {"en": "(link removed)", "ru": "(ссылка убрана)"}
# Where something may begin that leads elsewhere. What a `](` joins is a link, however its label is nested.
START: Final = re.compile(r"`+|!?\[|\](?=\(|\Z)|<|https?://|(?<![a-z0-9@.])(?:https?:|ftp:|file:|www\.)", re.IGNORECASE)
# The end of a text that may become the beginning of an address.
OPEN_END: Final = re.compile(
    r"(?:h|ht|htt|https?:?/?|(?<![a-z0-9@.])(?:f|ft|ftp|fi|fil|file|w|ww|www)|!)\Z", re.IGNORECASE
)
LABEL: Final = re.compile(r"!?\[([^\[\]\n]{0,300})(\]?)")
TARGET: Final = re.compile(r"\(\s*<?([^()\s<>]*(?:\([^()\s<>]*\)[^()\s<>]*)*)>?(?:\s+[\"'(][^\n]*?[\"')])?\s*\)")
ADDRESS: Final = re.compile(r"(?:https?:|ftp:|file:|www\.)[^\s<>\"'`|\\^{}\[\]]*", re.IGNORECASE)
BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")
LEADS: Final = re.compile(r"[:/.#?\\&]")
# Behind an address these are more often the sentence's.
TRAILING: Final = ".,;:!?)*_~"
TAG: Final = re.compile(
    r"</?(?:a|abbr|area|audio|base|body|br|button|canvas|div|embed|font|form|frame|frameset|head|html|iframe|image|img"
    r"|input|link|map|marquee|math|meta|object|p|picture|portal|script|source|span|style|svg|table|template|textarea"
    r"|title|track|video|xml)(?=[\s/>]|\Z)|<[!?]|<(?!https?:|file:)[a-z][a-z0-9+.-]{1,31}:",
    re.IGNORECASE,
)
TAG_BEGINS: Final = re.compile(r"</?[a-z0-9+.-]{0,32}\Z", re.IGNORECASE)
# More is not held back: what is no link by then is shown as none.
# Of the line before, so much tells whether anything stands in it.
LINE_CHARS: Final = 8
MAX_HELD_CHARS: Final = 2_600


class LinkReader:
    """One answer's text: `feed` and `flush` return what can be shown. `removed` counts what was left out.

    `allowed` are the addresses that may stand in it; `language` is a two-letter code.
    """

    def __init__(self, allowed: Iterable[str], language: str) -> None:
        self._allowed = {form for url in allowed for form in _forms(url)}
        self._note = REMOVED.get(language, REMOVED["en"])
        self._held = ""
        self._before = self._last = self._paragraph = ""
        self._loose = False
        self.removed = 0

    @property
    def holds(self) -> bool:
        """Whether something is held back that may lead elsewhere."""
        return bool(self._held)

    def again(self) -> "LinkReader":
        """Return a reader of another text under the same rule."""
        other = LinkReader((), "")
        other._allowed, other._note = self._allowed, self._note
        return other

    def feed(self, piece: str) -> str:
        """Take a piece; return what is certain."""
        return self._shown(self._held + piece, final=False)

    def flush(self) -> str:
        """Return what was held back."""
        return self._shown(self._held, final=True)

    def _shown(self, text: str, *, final: bool) -> str:
        # What was before tells whether a word begins.
        out, place, self._held = "", len(self._last), ""
        text = self._last + text
        while found := START.search(text, place):
            out += self._plain(text[place : found.start()])
            place = found.start()
            line_begins = not (self._before + out).rpartition("\n")[2].strip(" ")
            late = final or len(text) - place > MAX_HELD_CHARS
            unit = self._unit(text, found, line_begins=line_begins, final=late)
            if unit is None:
                self._held = text[place:]
                return self._past(out)
            out, place = out + unit[0], unit[1]
        end = None if final else OPEN_END.search(text, place)
        self._held = end[0] if end else ""
        return self._past(out + self._plain(text[place : end.start() if end else len(text)]))

    def _plain(self, text: str) -> str:
        """Take note of a blank line, behind which a paragraph begins."""
        if self._loose:
            self._paragraph += text
            self._loose = not BLANK_LINE.search(self._paragraph)
            self._paragraph = self._paragraph[-LINE_CHARS:]
        return text

    def _past(self, shown: str) -> str:
        """Keep the line that a text ends in, as far as it tells whether a line begins."""
        self._before = (self._before + shown).rpartition("\n")[2][:LINE_CHARS]
        self._last = shown[-1:] or self._last
        return shown

    def _unit(self, text: str, found: re.Match[str], *, line_begins: bool, final: bool) -> tuple[str, int] | None:
        """Return what is shown of what begins here, and its end; None where more text must come to tell."""
        begin = found[0]
        if begin[0] == "`":
            return self._code(text, found, final=final)
        if begin == "]":
            return ("] ", found.end()) if text[found.end() :] else ("]", found.end()) if final else None
        if begin == "<":
            return self._tag(text, found.start(), final=final)
        if begin.endswith("["):
            return self._link(text, found, line_begins=line_begins, final=final)
        return self._address(text, found.start(), final=final)

    def _code(self, text: str, found: re.Match[str], *, final: bool) -> tuple[str, int] | None:
        """Return a span of code as it stands, where it is sure to be one: its ticks are closed in their line.

        Behind ticks that are not, what is code depends on the rest of the paragraph, and all counts as text.
        """
        if found.end() == len(text) and not final:
            return None
        line, line_ends, _ = text[found.end() :].partition("\n")
        closed = None if self._loose else re.search(rf"(?<!`){found[0]}(?!`)", line)
        if text[found.start() - 1 : found.start()] == "\\" or self._loose or (not closed and (line_ends or final)):
            self._loose, self._paragraph = True, ""
            return found[0], found.end()
        if not closed or (closed.end() == len(line) and not line_ends and not final):
            return None
        end = found.end() + closed.end()
        return text[found.start() : end], end

    def _link(self, text: str, found: re.Match[str], *, line_begins: bool, final: bool) -> tuple[str, int] | None:
        label = LABEL.match(text, found.start())
        assert label
        after = text[label.end() : label.end() + 1]
        if not label[2] or not after:
            open_end = label.end() == len(text) and not final
            return None if open_end else ("[", found.end())
        if after == ":" and line_begins:
            return self._definition(text, found.start(), final=final)
        return self._target(text, found, label, final=final) if after == "(" else ("[", found.end())

    def _target(self, text: str, found: re.Match[str], label: re.Match[str], *, final: bool) -> tuple[str, int] | None:
        """Judge a link in one line, a picture among them."""
        target = TARGET.match(text, label.end())
        if target is None:
            line_ends = "\n" in text[label.end() :]
            return ("[", found.end()) if line_ends or final else None
        if found[0] == "[" and self._allows(target[1]):
            return text[found.start() : target.end()], target.end()
        if not LEADS.search(target[1]):
            return f"[{label[1]}] ", label.end()  # more likely f[0](1) than a link
        self.removed += 1
        return self._inner(label[1]), target.end()

    def _definition(self, text: str, start: int, *, final: bool) -> tuple[str, int] | None:
        """Leave out a line that gives a link its address, which would be a link wherever its label stands."""
        end = text.find("\n", start)
        if end < 0 and not final:
            return None
        self.removed += 1
        return "", len(text) if end < 0 else end

    def _tag(self, text: str, start: int, *, final: bool) -> tuple[str, int] | None:
        if not final and TAG_BEGINS.match(text, start):
            return None
        return ("&lt;", start + 1) if TAG.match(text, start) else ("<", start + 1)

    def _address(self, text: str, start: int, *, final: bool) -> tuple[str, int] | None:
        found = ADDRESS.match(text, start)
        assert found
        if found.end() == len(text) and not final:
            return None
        url = found[0].rstrip(TRAILING)
        end = start + len(url)
        if self._allows(url) or url.lower() in ("http", "https", "ftp", "file", "www"):
            return url, end
        self.removed += 1
        return self._note, end

    def _inner(self, label: str) -> str:
        """Return the label of a link that was left out, which may look like an address itself."""
        return ADDRESS.sub(lambda found: found[0] if self._allows(found[0]) else self._note, label)

    def _allows(self, url: str) -> bool:
        return not self._allowed.isdisjoint(_forms(url))


def _forms(url: str) -> set[str]:
    """Return the ways to write an address that are taken for it."""
    canonical = urls.canonical(url if "://" in url else f"https://{url}") if not url.startswith("file:") else None
    plain = canonical or (url if url.startswith("file:///") else None)
    return {plain, urls.printable(plain)} if plain else set()
