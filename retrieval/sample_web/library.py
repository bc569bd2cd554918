"""Makes pages of the standard library and the language reference from docstrings and pydoc's topics.

Imports the modules it describes: run it only in a process of its own.
"""

import importlib.util
import inspect
import pkgutil
import pydoc
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from retrieval.sample_web.markup import (
    LANGUAGE_REFERENCE,
    STANDARD_LIBRARY,
    SamplePage,
    heading,
    page,
    paragraph,
    prose,
    summary,
)

MIN_CHARS = 300
# These act when imported (open a browser or a window, print), are private machinery, or repeat another page.
SKIPPED = {
    "antigravity", "encodings", "ensurepip", "genericpath", "idlelib", "lib2to3", "msilib", "nt", "ntpath",
    "nturl2path", "posix", "posixpath", "pydoc_data", "sre_compile", "sre_constants", "sre_parse", "test", "this",
    "tkinter", "turtle", "turtledemo",
}  # fmt: skip
# Deprecated: the module itself is described, its submodules are not.
WITHOUT_SUBMODULES = {"distutils"}
SUBMODULES_SKIPPED = re.compile(r"\.(_|tests?$|test_|__main__|popen_|msvc|windows_)|_test$")
NOT_IN_A_LISTING = ("os.path",)

LEGAL = re.compile(r"(?i)copyright|licen[sc]e")

Routine = Callable[..., object]


class _Untold:
    """A default value that is not shown."""

    def __repr__(self) -> str:
        return "..."


UNTOLD = _Untold()


def names() -> Iterator[str]:
    """List the modules to describe: public, top level first, then submodules."""
    top = [name for name in sorted(sys.stdlib_module_names) if not name.startswith("_") and name not in SKIPPED]
    yield from top
    yield from NOT_IN_A_LISTING
    for name in top:
        if name not in WITHOUT_SUBMODULES:
            yield from _submodules(name)


def module_page(name: str) -> SamplePage | None:
    """Describe one module; None when it cannot be imported here or says nothing."""
    try:
        module = pydoc.safeimport(name)
    except pydoc.ErrorDuringImport:
        return None
    if not isinstance(module, ModuleType):
        return None
    text = _text(module)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    blocks = [f"<p>Module <code>{name}</code> of the Python {version} standard library.</p>", *prose(text, 2)]
    blocks += [*_functions(module, name), *_classes(module, name), *_constants(module)]
    made = page(f"/library/{name}", name, _about(name, text), STANDARD_LIBRARY, blocks)
    return made if len(made.text) >= MIN_CHARS else None


def topic_pages() -> Iterator[SamplePage]:
    """Describe the statements and ideas of the language, from the topics of `help()`."""
    from pydoc_data.topics import topics

    for name, text in topics.items():
        title, _, body = text.strip().partition("\n")
        blocks = prose(body.lstrip("*=-~^ \n"), 2)
        made = page(f"/reference/{name}", title.strip(), "", LANGUAGE_REFERENCE, blocks)
        if len(made.text) >= MIN_CHARS:
            yield made


def _submodules(name: str) -> Iterator[str]:
    """Walk a package through its folders, importing nothing but packages on the way to nested ones."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return
    for found in pkgutil.iter_modules(spec.submodule_search_locations or () if spec else (), name + "."):
        if not SUBMODULES_SKIPPED.search(found.name):
            yield found.name
            if found.ispkg:
                yield from _submodules(found.name)


def _members(module: ModuleType) -> list[tuple[str, object]]:
    """Return what belongs to a module by pydoc's rules: its `__all__`, or what it defines itself."""
    public = getattr(module, "__all__", None)
    return [
        (name, value)
        for name, value in sorted(vars(module).items(), key=lambda item: item[0].lower())
        if pydoc.visiblename(name, public, module)
        and not name.startswith("__")
        and (public is not None or getattr(value, "__module__", module.__name__) == module.__name__)
    ]


def _functions(module: ModuleType, name: str) -> list[str]:
    blocks: list[str] = []
    for member, value in _members(module):
        if inspect.isroutine(value):
            blocks += _routine(f"{name}.{member}", member, value, 3)
    return [heading(f"Functions of {name}", 2), *blocks] if blocks else []


def _classes(module: ModuleType, name: str) -> list[str]:
    blocks: list[str] = []
    for member, value in _members(module):
        if inspect.isclass(value):
            blocks += _class(name, member, value)
    return [heading(f"Classes of {name}", 2), *blocks] if blocks else []


def _class(module: str, name: str, described: type) -> list[str]:
    """Describe a class: signature, bases, docstring, and the methods it defines itself."""
    bases = [base.__name__ for base in described.__bases__ if base is not object and base.__name__[0] != "_"]
    blocks = [heading(f"class {module}.{name}{_signature(described)}", 3), *prose(_docstring(described), 4)]
    if bases:
        blocks.append(paragraph("Bases: " + ", ".join(bases) + "."))
    for member, value in vars(described).items():
        if not member.startswith("_"):
            blocks += _class_member(f"{name}.{member}", member, value)
    return blocks


def _class_member(title: str, name: str, value: object) -> list[str]:
    if isinstance(value, property):
        text = _docstring(value)
        return [heading(title, 4), *prose(text, 5)] if text else []
    function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    return _routine(title, name, function, 4) if inspect.isroutine(function) else []


def _routine(title: str, name: str, value: Routine, level: int) -> list[str]:
    """Describe a function: its signature as the heading, its docstring, or the comment above it, below."""
    text, signature = _text(value), _signature(value)
    # Functions written in C tell their signature, if at all, in the first line of the docstring.
    if not signature and (told := re.match(rf"{re.escape(name)}(\(.*)", text)):
        signature, text = told[1], text[told.end() :]
    shown = f"{title}{signature or '(...)'}"
    # A cleaner takes a heading with nothing below it for an empty section.
    return [heading(shown, level), *prose(text, level + 1)] if text.strip() else [paragraph(f"``{shown}``")]


def _constants(module: ModuleType) -> list[str]:
    found = [
        f"<li><code>{module.__name__}.{name} = {value!r}</code></li>"
        for name, value in _members(module)
        if isinstance(value, (int, float)) and not name.startswith("_")
    ]
    return [heading(f"Constants of {module.__name__}", 2), "<ul>" + "".join(found) + "</ul>"] if found else []


def _text(value: Routine | ModuleType) -> str:
    """Return the docstring of a function or module, or the comment above it without what only lawyers read."""
    text = _docstring(value)
    if text:
        return text
    comment = re.sub(r"(?m)^# ?", "", inspect.getcomments(value) or "")
    return "\n\n".join(part for part in re.split(r"\n\s*\n", comment) if not LEGAL.search(part))


def _docstring(value: object) -> str:
    """Return the docstring that a value has itself or inherits; an instance's `__doc__` may be anything."""
    text = inspect.getdoc(value)
    return text.strip("\n") if isinstance(text, str) else ""


def _about(name: str, text: str) -> str:
    """Return the first sentence of a module's text, less the module's own name at its head."""
    about = re.sub(rf"^(?:module )?{re.escape(name)}(?:\.py)?\s*(?:--?|:|—)\s*", "", summary(text))
    return "" if about == name else about


def _signature(value: Routine) -> str:
    """Return "(a, b=1)", or "" when it is not known."""
    try:
        known = inspect.signature(value)
    except (ValueError, TypeError):
        return ""
    parameters = [
        one if one.default is one.empty or _tellable(one.default) else one.replace(default=UNTOLD)
        for one in known.parameters.values()
    ]
    return pydoc.stripid(str(known.replace(parameters=parameters)))


def _tellable(default: object) -> bool:
    """Tell whether a default may be shown: `os.environ`, paths and other state of this machine may not."""
    if isinstance(default, str):
        return not Path(default).is_absolute()
    return default is None or isinstance(default, (bool, int, float, complex, bytes, type)) or default == ()
