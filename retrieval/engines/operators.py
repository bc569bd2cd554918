"""Writes filters into the words of a query, for engines that read operators there. Pure."""

from retrieval.types import SearchFilters


def with_sites(text: str, filters: SearchFilters, most_chars: int = 2_000, most_words: int = 1_000) -> str:
    """Return the words with `site:` and `-site:`, as long as the engine takes them.

    Words that are too many are cut at the end; operators that leave no room for half of the words are left out: results
    are filtered once more when they come.
    """
    sites = " ".join([*(f"-site:{domain}" for domain in filters.excluded_domains), *_only(filters.domains)])
    return joined(text, sites, most_chars, most_words)


def joined(text: str, operators: str, most_chars: int, most_words: int = 1_000) -> str:
    """Return the words and the operators after them, at most so long."""
    room = most_chars - len(operators) - 1
    if not operators or room < min(len(text), most_chars // 2):
        return clipped(text, most_chars, most_words)
    return f"{clipped(text, room, most_words - len(operators.split()))} {operators}".strip()


def clipped(text: str, most_chars: int, most_words: int = 1_000) -> str:
    """Cut a text between words where it is too long; half characters, which nothing can send, become question marks."""
    kept = " ".join(text.encode("utf-8", "replace").decode().split()[: max(most_words, 1)])
    if len(kept) <= most_chars:
        return kept
    return kept[: most_chars + 1].rpartition(" ")[0] or kept[:most_chars]


def _only(domains: tuple[str, ...]) -> list[str]:
    return [" OR ".join(f"site:{domain}" for domain in domains)] if domains else []
