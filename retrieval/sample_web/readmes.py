"""Makes a page of each installed distribution from the README in its metadata."""

from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

from markdown_it import MarkdownIt

from retrieval.sample_web import markup

MIN_CHARS = 500
# Its README holds the very questions that people will try here, and would come first for each of them.
OWN_NAME = "wellread"


def readme_pages() -> Iterator[markup.SamplePage]:
    """Describe every distribution that comes with a README, one page a name."""
    found = {name.lower(): distribution for distribution in distributions() if (name := distribution.name)}
    found.pop(OWN_NAME, None)
    for _, distribution in sorted(found.items()):
        made = readme_page(distribution)
        if made is not None:
            yield made


def readme_page(distribution: Distribution) -> markup.SamplePage | None:
    """Describe one distribution; None when its README is missing or short."""
    name, text = distribution.name, _field(distribution, "Description")
    if len(text) <= MIN_CHARS:
        return None
    kind = _field(distribution, "Description-Content-Type")
    about = markup.summary(_field(distribution, "Summary"))
    lead = markup.paragraph(f"Python package {name}, version {distribution.version}: {about or 'no summary'}.")
    blocks = [lead, *(_markdown(text) if kind.startswith("text/markdown") else markup.prose(text, 2))]
    return markup.page(f"/packages/{name.lower()}", name, about, markup.PACKAGE, blocks)


def _field(distribution: Distribution, name: str) -> str:
    """Return a field of the metadata; a README may stand below the fields and counts as the description."""
    metadata = distribution.metadata
    return metadata[name] if name in metadata else ""  # noqa: SIM401  (its declared type has no get() in 3.11)


def _markdown(text: str) -> list[str]:
    """Return one block for each top-level element, so that a long README is cut between two of them."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    blocks: list[str] = []
    opened: list[str] = []
    tokens = parser.parse(text)
    start = 0
    for position, token in enumerate(tokens, 1):
        opened += [token.type] if token.nesting == 1 else []
        opened = opened[:-1] if token.nesting == -1 else opened
        if not opened:
            blocks.append(parser.renderer.render(tokens[start:position], parser.options, {}))
            start = position
    return blocks
