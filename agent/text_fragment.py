"""Addresses that open a page at a quote (WICG, Scroll to Text Fragment). Pure."""

from urllib.parse import quote

DIRECTIVE = ":~:text="
# How many words of a long quote's beginning and end name it.
EDGE_WORDS = 5


def at_quote(url: str, text: str) -> str:
    """Return the address that opens a page at a quote; a long quote is named by its first and last words."""
    words = text.split()
    ends = [words] if len(words) <= 2 * EDGE_WORDS else [words[:EDGE_WORDS], words[-EDGE_WORDS:]]
    fragment = ",".join(quote(" ".join(end), safe="", errors="replace").replace("-", "%2D") for end in ends)
    return f"{url}{'' if '#' in url else '#'}{DIRECTIVE}{fragment}"


def without_quote(url: str) -> str:
    """Return the address of the page itself."""
    page, directive, _ = url.partition(DIRECTIVE)
    return page.removesuffix("#") if directive else url
