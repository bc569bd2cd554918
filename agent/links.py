"""Keeps out of a streaming answer what leads elsewhere than to the pages it rests on, wherever the stream is cut.

A page may tell a model to show a picture or a link whose address carries off what the user asked, and what is shown as
Markdown may be loaded without a click. So an answer has no pictures and no HTML, its links go to its sources or to what
the user named, and other addresses are not written out. Code, where nothing is a link, stays as it is, if it is sure to
be code to whatever shows it. Nothing is cut out, so that nothing new is put together: what would be a link is taken
apart by a space, and an address gives way to words. Pure.
"""

import re
from collections.abc import Iterable
from typing import Final

from retrieval import urls

REMOVED: Final = {"en": "(link removed)", "ru": "(ссылка убрана)"}
# Where something may begin that leads elsewhere. `](` joins a label and its address, and `]:` begins a definition.
START: Final = re.compile(
    r"`+|~~~+|!?\[|\](?=[(:]|\Z)|<|https?://|(?<![\w:/])//(?=[a-z0-9-]+\.)"
    r"|(?<![a-z0-9@.])(?:https?:|ftp:|file:|www\.)",
    re.IGNORECASE,
)
# The end of a text that may become the beginning of an address, or of a picture.
OPEN_END: Final = re.compile(
    r"(?:h|ht|htt|https?:?/?|(?<![a-z0-9@.])(?:f|ft|ftp|fi|fil|file|w|ww|www)|(?<![\w:/])//?[a-z0-9-]*|!)\Z",
    re.IGNORECASE,
)
# A label in which nothing else can begin.
LABEL: Final = re.compile(r"\[([^\[\]\n<>`!\\|]{0,300})(\]?)")
TARGET: Final = re.compile(r"\(([^()\s<>]{1,2000}+)\)")
OPEN_TARGET: Final = re.compile(r"\([^()\s<>]{0,2000}+\Z")
ADDRESS: Final = re.compile(r"(?:https?:|ftp:|file:|www\.|//)[^\s<>\"'`|\\^{}\[\]]*", re.IGNORECASE)
# Behind an address these are more often the sentence's.
TRAILING: Final = ".,;:!?)*_~"
SCHEMES_ALONE: Final = frozenset({"http", "https", "ftp", "file", "www"})
TAG: Final = re.compile(
    r"</?(?:a|abbr|area|audio|base|body|br|button|canvas|details|div|embed|font|form|frame|frameset|head|html|iframe"
    r"|image|img|input|link|map|marquee|math|meta|object|p|picture|portal|script|source|span|style|svg|table|template"
    r"|pre|textarea|title|track|video|xml)(?=>|\Z)|</?[a-z][a-z0-9-]*(?=[\s/]|\Z)|<[!?]|<[a-z][a-z0-9+.-]{1,31}:",
    re.IGNORECASE,
)
ANY_TAG: Final = re.compile(r"</?[a-z]", re.IGNORECASE)
TAG_BEGINS: Final = re.compile(r"</?[a-z0-9+.-]{0,32}\Z", re.IGNORECASE)
# A block of code is sure where its fence stands at the very beginning of a line.
FENCE: Final = re.compile(r"(`{3,}(?=[^`\n]*(?:\n|\Z))|~{3,})([^\n]*)(\n?)")
# What may stand before the beginning of a block in its line.
MARKERS: Final = re.compile(r"[\s>*+\-\d.)]*")
CLOSING_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")
# What is no link, label or code by then is shown as none.
MAX_HELD_CHARS: Final = 2_600
CODE_CHARS: Final = 300
LINE_CHARS: Final = 8

Unit = tuple[str, int] | None


class LinkReader:
    """One answer's text: `feed` and `flush` return what can be shown. `removed` counts the addresses left out.

    `allowed` are the addresses that may stand in it; `language` is a two-letter code.
    """

    def __init__(self, allowed: Iterable[str], language: str) -> None:
        # Each page stands among them once for each of its passages.
        self._allowed = {form for url in set(allowed) if (form := _written(url))}
        self._note = REMOVED.get(language, REMOVED["en"])
        self._held = ""
        # The line so far, its beginning and its last character.
        self._line, self._last = "", "\n"
        self._fence, self._unsure = "", False
        self._loose, self._paragraph = False, ""
        self._parted = False
        self.removed = 0

    @property
    def held(self) -> str:
        """What is held back, as something that leads elsewhere may begin in it."""
        return self._held

    def again(self) -> "LinkReader":
        """Return a reader of another text under the same rule."""
        other = LinkReader((), "")
        other._allowed, other._note = self._allowed, self._note
        return other

    def after_mark(self) -> None:
        """Take note that a mark of ours stands behind what was shown: with what follows it makes no link."""
        self._last, self._parted = ")", True
        self._line = f"{self._line}]"[:LINE_CHARS]

    def feed(self, piece: str) -> str:
        """Take a piece; return what is certain."""
        return self._shown(self._held + piece, final=False)

    def flush(self) -> str:
        """Return what was held back."""
        return self._shown(self._held, final=True)

    def _shown(self, text: str, *, final: bool) -> str:
        self._held = ""
        if self._parted and text:
            text, self._parted = (" " if text[0] in "(:[" else "") + text, False
        out, place = "", 0
        while place < len(text):
            if self._fence:
                shown, place = self._code_block(text, place, final=final)
                out += self._past(shown)
                if self._held:
                    break
                continue
            # What was before tells whether a word begins.
            whole, offset = self._last + text[place:], place - len(self._last)
            found = START.search(whole, len(self._last))
            if found is None:
                end = None if final else OPEN_END.search(whole, len(self._last))
                stop = end.start() + offset if end else len(text)
                out += self._past(self._plain(text[place:stop]))
                self._held = text[stop:]
                break
            start = found.start() + offset
            out += self._past(self._plain(text[place:start]))
            late = final or len(text) - start > MAX_HELD_CHARS
            unit = self._unit(text, start, found[0], final=late)
            if unit is None:
                self._held = text[start:]
                break
            out += self._past(unit[0])
            place = unit[1]
        return out

    def _past(self, shown: str) -> str:
        """Take note of what is shown, as far as it tells whether a line or a word begins."""
        if shown:
            _, line_ends, line = shown.rpartition("\n")
            self._line = (line if line_ends else self._line + shown)[:LINE_CHARS]
            self._last = shown[-1]
        return shown

    def _plain(self, text: str) -> str:
        """Take note of a blank line, behind which a paragraph begins."""
        if self._loose:
            self._paragraph += text
            self._loose = not BLANK_LINE.search(self._paragraph)
            self._paragraph = self._paragraph[-LINE_CHARS:]
        return text

    def _unit(self, text: str, start: int, begin: str, *, final: bool) -> Unit:
        """Return what is shown of what begins here, and its end; None where more text must come to tell."""
        end = start + len(begin)
        if begin[0] in "`~":
            return self._code(text, start, begin, final=final)
        if begin == "]":
            return ("] ", end) if text[end : end + 1] else ("]", end) if final else None
        if begin == "<":
            return self._tag(text, start, final=final)
        if begin[-1] == "[":
            return self._link(text, start, final=final) if begin == "[" else (begin, end)
        return self._address(text, start, final=final)

    def _link(self, text: str, start: int, *, final: bool) -> Unit:
        """Write a link to an allowed page out anew; of any other its bracket is text, and what follows is read on."""
        label = LABEL.match(text, start)
        assert label
        if not final and label.end() == len(text):
            return None
        target = TARGET.match(text, label.end()) if label[2] else None
        if target is None:
            wait = label[2] and not final and OPEN_TARGET.match(text, label.end())
            return None if wait else ("[", start + 1)
        url = _written(target[1])
        if url in self._allowed:
            return f"[{label[1]}]({url})", target.end()
        return "[", start + 1

    def _code(self, text: str, start: int, ticks: str, *, final: bool) -> Unit:
        """Return a span of code as it stands, where it is sure to be one: its ticks are closed in their line.

        Behind ticks that are not, what is code depends on the rest of the paragraph, and all counts as text.
        """
        end = start + len(ticks)
        if end == len(text) and not final:
            return None
        if MARKERS.fullmatch(self._line) and (fence := FENCE.match(text, start)):
            # Elsewhere than at the beginning of its line a block may end with a list, and what comes is not known.
            self._unsure = self._unsure or bool(self._line)
            if not self._unsure:
                return self._opened(text, fence, final=final)
        if ticks[0] == "~":
            return ticks, end
        loose = self._loose or self._last == "\\"
        line, line_ends, _ = text[end : end + CODE_CHARS].partition("\n")
        over = loose or bool(line_ends) or final or len(line) == CODE_CHARS
        closed = None if loose else re.search(rf"(?<!`){ticks}(?!`)", line)
        if not over and (closed is None or closed.end() == len(line)):
            return None
        if closed and "|" not in line[: closed.start()]:
            return text[start : end + closed.end()], end + closed.end()
        self._loose, self._paragraph = True, ""
        return ticks, end

    def _opened(self, text: str, fence: re.Match[str], *, final: bool) -> Unit:
        if not fence[3] and fence.end() == len(text) and not final:
            return None
        if fence[3]:
            self._fence, self._loose = fence[1], False
            return fence[0], fence.end()
        self._loose, self._paragraph = True, ""
        return fence[1], fence.end(1)

    def _code_block(self, text: str, start: int, *, final: bool) -> tuple[str, int]:
        """Return a line of a block of code, or as much of it as cannot be its closing fence."""
        line, line_ends, _ = text[start:].partition("\n")
        end = start + len(line) + len(line_ends)
        if not line_ends and not final and not self._line and not line.strip(" \t`~"):
            self._held = text[start:]
            return "", start
        closing = CLOSING_FENCE.fullmatch(line) if not self._line else None
        if closing and closing[1][0] == self._fence[0] and len(closing[1]) >= len(self._fence):
            self._fence = ""
        return text[start:end], end

    def _tag(self, text: str, start: int, *, final: bool) -> Unit:
        if not final and TAG_BEGINS.match(text, start):
            return None
        # At the beginning of a line any tag begins a block of HTML.
        tag = TAG.match(text, start) or (MARKERS.fullmatch(self._line) and ANY_TAG.match(text, start))
        return ("&lt;", start + 1) if tag else ("<", start + 1)

    def _address(self, text: str, start: int, *, final: bool) -> Unit:
        found = ADDRESS.match(text, start)
        assert found
        if found.end() == len(text) and not final:
            return None
        url = found[0].rstrip(TRAILING)
        end = start + len(url)
        if url.lower() in SCHEMES_ALONE or not url:
            return text[start : max(end, start + 2)], max(end, start + 2)
        if (written := _written(url)) in self._allowed:
            return written or "", end
        self.removed += 1
        return (self._note.strip("()") if self._last == "(" else self._note), end


def _written(url: str) -> str | None:
    """Return the one way in which an address is written, without what servers ignore; None for what is none."""
    if url.startswith("file:///"):
        return urls.printable(url)
    if url.startswith("//"):
        return None
    canonical = urls.canonical(url if "://" in url else f"https://{url}")
    return urls.printable(canonical) if canonical else None
