"""Tells which elements of a page no reader sees: by their attributes, their own style, and the page's style sheets.

Orders to a model are hidden this way. What scripts or outer style sheets hide is not known. Of style sheets only rules
for one tag, class or id count that stand in no condition, and no other rule, in whatever condition, may show the same.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from lxml.etree import _Element

# Style sheets beyond so much are left alone.
STYLE_CHARS: Final = 400_000
COMMENT: Final = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
# @media and its like, with the rules in them.
CONDITION: Final = re.compile(r"@[^{};@]{0,400}\{(?:[^{}]*+\{[^{}]*+\})*+[^{}]*+\}")
SIMPLE: Final = re.compile(r"(?P<tag>[a-z][a-z0-9]*)?(?P<kind>[.#])(?P<name>[\w-]+)", re.IGNORECASE)
# What every rule has that hides or shows, in short: most rules have none of it.
TELLING: Final = re.compile(
    r"display|visib|opacity|font-size|clip|transform|overflow|-\d|transparent|a\(|#", re.IGNORECASE
)
NAMES: Final = re.compile(r"[.#]([\w-]+)")
IMPORTANT: Final = re.compile(r"!\s*important")
# So many declarations of a rule are looked at, and so much of each and of a rule's selectors.
DECLARATIONS: Final = 1_000
VALUE_CHARS: Final = 200
SELECTOR_CHARS: Final = 2_000
# What shows or hides; where an element says one of these itself, the sheet does not count.
SHOWING: Final = ("display", "visibility", "opacity")
LENGTH: Final = re.compile(r"(-?\d*\.?\d+)([a-z%]*)")
# In pixels, about; what is smaller is not read, and what is further outside is not on the screen.
OF_LETTERS: Final = {"em": 16, "rem": 16, "ex": 8, "ch": 8, "vw": 10, "vh": 10}
UNITS: Final = {"": 1, "px": 1, "pt": 1.3, "in": 96, "cm": 38, "mm": 4, **OF_LETTERS}
# Of an element with more in it, it is not asked what is seen again.
MOST_INSIDE: Final = 5_000
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


class Hidden:
    """What is hidden on one page."""

    def __init__(self, tree: _Element) -> None:
        sheets = _sheets(tree)
        self._hiding: set[tuple[str, str]] = set()
        shown: set[str] = set()
        for selectors, style in _rules(CONDITION.sub("", sheets)):
            if hides(style):
                self._hiding.update(_simple(selectors))
        for selectors, style in _rules(sheets):
            if not hides(style) and any(name in style for name in SHOWING):
                shown.update(NAMES.findall(selectors))
        self._hiding = {each for each in self._hiding if each[1][1:] not in shown}
        # Where a sheet may say otherwise, the background is not known.
        self._white = not sheets and not tree.xpath("//link[contains(@rel, 'stylesheet')]")

    def __call__(self, element: _Element) -> bool:
        """Tell whether an element, and so all that is in it, is not seen."""
        said = element.attrib
        if not said or element.tag in ("html", "body"):
            return False  # pages that a script shows when it has run
        if "hidden" in said or ("aria-hidden" in said and said["aria-hidden"].strip().lower() == "true"):
            return True
        written = said.get("style")
        style = _style(written) if written else {}
        if style and (hides(style) or self._unreadable(style, element)):
            return not _shows_inside(style, element)
        return bool(self._hiding) and not any(name in style for name in SHOWING) and self._hidden_by_sheet(element)

    def _hidden_by_sheet(self, element: _Element) -> bool:
        names = [*(f".{name}" for name in element.get("class", "").split()), f"#{element.get('id', '')}"]
        return any((tag, name) in self._hiding for name in names for tag in ("", str(element.tag)))

    def _unreadable(self, style: Style, element: _Element) -> bool:
        """Tell whether text has the color of what is behind it."""
        color = _color(style.get("color", ""))
        behind = _behind(style, element, WHITE if self._white else None)
        if color is None or behind is None:
            return False
        return sum(abs(one - other) for one, other in zip(color, behind, strict=True)) < LEAST_CONTRAST


def hides(style: Style) -> bool:
    """Tell whether a style hides what it applies to."""
    size, opacity = _pixels(style.get("font-size")), _pixels(style.get("opacity"))
    return (
        style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or (opacity == 0 and not any(name in style for name in ("animation", "animation-name", "transition")))
        or (size is not None and size < LEAST_FONT_PIXELS)
        or any((_pixels(style.get(name)) or 0) <= OFF_SCREEN_PIXELS for name in OFFSETS)
        or _no_box(style)
        or bool(NO_CLIP.search(f"{style.get('clip-path', '')} {style.get('clip', '')}"))
        or bool(AWAY.search(style.get("transform", "")))
        or (bool(CLEAR.fullmatch(style.get("color", ""))) and "text" not in _clipped(style))
    )


def _no_box(style: Style) -> bool:
    """Tell whether a box has no size and shows nothing of what runs over."""
    sizes = (_pixels(style.get(name)) for name in ("width", "height", "max-width", "max-height"))
    return style.get("overflow") in ("hidden", "clip") and any(
        size is not None and size <= NO_BOX_PIXELS for size in sizes
    )


def _shows_inside(style: Style, element: _Element) -> bool:
    """Tell whether all text in an element is seen again: the size of letters and visibility are not its children's."""
    others = [name for name in ("font-size", "visibility") if name in style and hides({name: style[name]})]
    rest = {name: value for name, value in style.items() if name not in others}
    if not others or hides(rest) or (element.text or "").strip():
        return False
    seen: dict[_Element, bool] = {element: False}
    for each in islice(element.iterdescendants(), MOST_INSIDE):
        parent = each.getparent()
        around = parent is not None and seen.get(parent, False)
        seen[each] = around
        if isinstance(each.tag, str):
            own = _style(each.get("style", ""))
            seen[each] = (around or any(name in own for name in others)) and not hides(own)
            if (each.text or "").strip() and not seen[each]:
                return False
        if (each.tail or "").strip() and not around:
            return False
    return 1 < len(seen) <= MOST_INSIDE


def _behind(style: Style, element: _Element, else_: Color | None) -> Color | None:
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
    return else_


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


def _clipped(style: Style) -> str:
    """Return what a background is cut to: letters that let it through are seen."""
    return " ".join(style.get(name, "") for name in ("background-clip", "-webkit-background-clip"))


def _style(text: str) -> Style:
    """Read declarations; of two for one property the later holds, an important one before others."""
    found: dict[str, str] = {}
    important: set[str] = set()
    for each in islice(text.split(";"), DECLARATIONS):
        name, _, value = each[:VALUE_CHARS].lower().partition(":")
        name, weighs = name.strip(), IMPORTANT.search(value)
        if weighs or name not in important:
            found[name] = IMPORTANT.sub("", value).strip()
        if weighs:
            important.add(name)
    return found


def _pixels(said: str | None) -> float | None:
    """Return a length in pixels, about; None where its unit does not tell, as a share of something does not."""
    found = LENGTH.match(said) if said else None
    if not found:
        return None
    number = float(found[1])
    return number * UNITS[found[2]] if found[2] in UNITS else number if not number else None


def _sheets(tree: _Element) -> str:
    sheets = "\n".join(sheet.text or "" for sheet in tree.iter("style"))
    return COMMENT.sub("", sheets) if len(sheets) <= STYLE_CHARS else ""


def _rules(sheets: str) -> Iterator[tuple[str, Style]]:
    """List the selectors and the style of each rule, also of those in conditions that were left in."""
    for piece in sheets.split("}"):
        before, brace, declarations = piece.rpartition("{")
        if brace and TELLING.search(declarations):
            selectors = before.rpartition("{")[2].rpartition(";")[2]
            yield selectors[:SELECTOR_CHARS], _style(declarations)


def _simple(selectors: str) -> Iterator[tuple[str, str]]:
    """List the selectors that name one class or id, and a tag or none."""
    for selector in selectors.split(","):
        if found := SIMPLE.fullmatch(selector.strip()):
            yield (found["tag"] or "").lower(), found["kind"] + found["name"]
