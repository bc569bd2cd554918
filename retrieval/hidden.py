"""Tells which elements of a page no reader sees: by their attributes, their own style, and the page's style sheets.

Orders to a model are hidden this way. What scripts or outer style sheets hide is not known. Of style sheets only rules
for one tag, class or id count that stand in no condition, and no other rule may show the same again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from lxml.etree import _Element

# Style sheets beyond so much are left alone.
STYLE_CHARS: Final = 400_000
COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
# @media and its like, with the rules in them.
CONDITION: Final = re.compile(r"@[^{};@]{0,400}\{(?:[^{}]*+\{[^{}]*+\})*+[^{}]*+\}")
SIMPLE: Final = re.compile(r"(?P<tag>[a-z][a-z0-9]*)?(?P<kind>[.#])(?P<name>[\w-]+)", re.IGNORECASE)
# So many declarations of a rule are looked at, and so much of a value.
DECLARATIONS: Final = 100
VALUE_CHARS: Final = 200
LENGTH: Final = re.compile(r"(-?\d*\.?\d+)\s*(px|pt|em|rem|ex|ch|vw|vh|in|cm|mm|%)?")
# In pixels, about; what is smaller is not read, and what is further outside is not on the screen.
UNITS: Final = {"pt": 1.3, "em": 16, "rem": 16, "ex": 8, "ch": 8, "vw": 10, "vh": 10, "in": 96, "cm": 38, "mm": 4}
LEAST_FONT_PIXELS: Final = 2.0
OFF_SCREEN_PIXELS: Final = -900.0
NO_BOX_PIXELS: Final = 1.0
OFFSETS: Final = ("left", "top", "right", "bottom", "text-indent", "margin-left", "margin-top")
NO_CLIP: Final = re.compile(r"inset\(\s*(?:50|[6-9]\d|100)%|circle\(\s*0|rect\(\s*(?:[01](?:px)?[\s,]+){3}[01]")
AWAY: Final = re.compile(r"translate(?:x|y|3d)?\([^)]*-\d{4,}|scale(?:x|y)?\(\s*0(?:\.0+)?\s*[,)]")
CLEAR: Final = re.compile(r"transparent|(?:rgba|hsla)\([^)]*,\s*0?\.?0+%?\s*\)|#[0-9a-f]{3}0|#[0-9a-f]{6}00")
COLOR: Final = re.compile(
    r"#(?P<hex>[0-9a-f]{6}|[0-9a-f]{3})\b|rgba?\(\s*(?P<red>\d+)[\s,]+(?P<green>\d+)[\s,]+(?P<blue>\d+)|(?P<word>[a-z]+)"
)
WORDS: Final = {"white": (255, 255, 255), "snow": (255, 250, 250), "ivory": (255, 255, 240), "black": (0, 0, 0)}
WHITE: Final = (255, 255, 255)
# Colors nearer to each other than this, in sum of their three parts, cannot be told apart.
LEAST_CONTRAST: Final = 24

Style = Mapping[str, str]
Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Selector:
    """`.name` or `#name`, with a tag before it or none."""

    tag: str | None
    kind: str
    name: str

    def fits(self, element: _Element) -> bool:
        if self.tag and self.tag != element.tag:
            return False
        found = element.get("class", "").split() if self.kind == "." else [element.get("id", "")]
        return self.name in found


class Hidden:
    """What is hidden on one page."""

    def __init__(self, tree: _Element) -> None:
        self._hiding: dict[str, list[_Selector]] = {}
        shown: set[_Selector] = set()
        for selector, style in _rules(_sheets(tree)):
            if hides(style):
                self._hiding.setdefault(selector.name, []).append(selector)
            elif "display" in style or "visibility" in style:
                shown.add(selector)
        self._shown = {selector.name for selector in shown}

    def __call__(self, element: _Element) -> bool:
        """Tell whether an element, and so all that is in it, is not seen."""
        if element.tag in ("html", "body"):
            return False  # pages that a script shows when it has run
        if element.get("hidden") is not None or element.get("aria-hidden", "").strip().lower() == "true":
            return True
        style = element.get("style")
        if style and (own := _style(style)) and (hides(own) or _unreadable(own, element)):
            return True
        return bool(self._hiding) and self._hidden_by_sheet(element)

    def _hidden_by_sheet(self, element: _Element) -> bool:
        names = [*element.get("class", "").split(), element.get("id", "")]
        if not self._shown.isdisjoint(names):
            return False
        return any(selector.fits(element) for name in names for selector in self._hiding.get(name, ()))


def hides(style: Style) -> bool:
    """Tell whether a style hides what it applies to."""
    size, opacity = _pixels(style.get("font-size")), _pixels(style.get("opacity"))
    return (
        style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or opacity == 0
        or (size is not None and size < LEAST_FONT_PIXELS)
        or any((_pixels(style.get(name)) or 0) <= OFF_SCREEN_PIXELS for name in OFFSETS)
        or _no_box(style)
        or bool(NO_CLIP.search(f"{style.get('clip-path', '')} {style.get('clip', '')}"))
        or bool(AWAY.search(style.get("transform", "")))
        or bool(CLEAR.fullmatch(style.get("color", "")))
    )


def _no_box(style: Style) -> bool:
    """Tell whether a box has no size and shows nothing of what runs over."""
    sizes = (_pixels(style.get(name)) for name in ("width", "height", "max-width", "max-height"))
    return style.get("overflow") in ("hidden", "clip") and any(
        size is not None and size <= NO_BOX_PIXELS for size in sizes
    )


def _unreadable(style: Style, element: _Element) -> bool:
    """Tell whether text has the color of what is behind it."""
    color = _color(style.get("color", ""))
    behind = _behind(style, element)
    if color is None or behind is None:
        return False
    return sum(abs(one - other) for one, other in zip(color, behind, strict=True)) < LEAST_CONTRAST


def _behind(style: Style, element: _Element) -> Color | None:
    """Return the color behind an element, as far as the page itself says; None where a picture or a name may be."""
    around: _Element | None = element
    while around is not None:
        for name in ("background-color", "background"):
            if said := style.get(name):
                return _color(said)
        if said := around.get("bgcolor"):
            return _color(said.lower())
        if around.tag != "body" and (around.get("class") or around.get("id")):
            return None
        around = around.getparent()
        style = _style(around.get("style", "")) if around is not None else {}
    return WHITE


def _color(said: str) -> Color | None:
    found = COLOR.search(said)
    if not found:
        return None
    if digits := found["hex"]:
        pairs = digits if len(digits) == len("rrggbb") else "".join(digit * 2 for digit in digits)
        return (int(pairs[:2], 16), int(pairs[2:4], 16), int(pairs[4:], 16))
    if found["red"]:
        return (int(found["red"]), int(found["green"]), int(found["blue"]))
    return WORDS.get(found["word"])


def _style(text: str) -> Style:
    """Read declarations; of two for one property the later holds."""
    pairs = (each[:VALUE_CHARS].partition(":") for each in islice(text.split(";"), DECLARATIONS))
    return {name.strip().lower(): value.lower().replace("!important", "").strip() for name, _, value in pairs}


def _pixels(said: str | None) -> float | None:
    found = LENGTH.match(said) if said else None
    return float(found[1]) * UNITS.get(found[2] or "", 1) if found else None


def _sheets(tree: _Element) -> str:
    sheets = "\n".join(sheet.text or "" for sheet in tree.iter("style"))
    return sheets if len(sheets) <= STYLE_CHARS else ""


def _rules(sheets: str) -> Iterator[tuple[_Selector, Style]]:
    for piece in CONDITION.sub("", COMMENT.sub("", sheets)).split("}"):
        before, brace, declarations = piece.rpartition("{")
        if not brace or "{" in before:
            continue
        style = _style(declarations)
        for selector in before.rpartition(";")[2].split(","):
            if found := SIMPLE.fullmatch(selector.strip()):
                tag = found["tag"]
                yield _Selector(tag.lower() if tag else None, found["kind"], found["name"]), style
