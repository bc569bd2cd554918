"""A streamed reply, put together again from its chunks."""

from typing import Any

from agent.text_fragment import without_quote

Json = dict[str, Any]


class Reply:
    """What has come of a reply so far: `answer` and `reasoning` as text, the rest as the server wrote it."""

    def __init__(self) -> None:
        self._answer: list[str] = []
        self._reasoning: list[str] = []
        self._last: Json = {}
        self.usage: Json | None = None
        self.run_id: str | None = None

    def take(self, chunk: Json) -> None:
        """Add a chunk."""
        self.run_id = chunk.get("run_id") or self.run_id
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk["choices"]:
            self._answer.append(choice["delta"].get("content") or "")
            self._reasoning.append(choice["delta"].get("reasoning") or "")
            if choice["finish_reason"]:
                self._last = chunk

    @property
    def answer(self) -> str:
        """The text of the answer."""
        return "".join(self._answer)

    @property
    def reasoning(self) -> str:
        """What the model thought."""
        return "".join(self._reasoning)

    @property
    def marks(self) -> list[Json]:
        """The citation marks: `start_index` and `end_index` in code points of the answer, `url`, `title`, proof."""
        delta = self._last["choices"][0]["delta"] if self._last else {}
        return [each["url_citation"] for each in delta.get("annotations", ())]

    @property
    def sources(self) -> list[Json]:
        """The pages that the answer cites, in order of their numbers."""
        return list(self._last.get("search_results", ()))

    @property
    def coverage(self) -> Json | None:
        """The record of what was read; None where nothing was searched, or the answer broke off."""
        return self._last.get("coverage")

    @property
    def unsupported(self) -> list[Json] | None:
        """The marks that no page proves; None as with `coverage`."""
        return self._last.get("unsupported")

    def quotes(self, url: str) -> dict[str, str]:
        """Return the words of a page that prove a mark, each with the address that opens the page at them."""
        marks = [mark for mark in self.marks if without_quote(mark["url"]) == url and mark.get("quote")]
        return {mark["quote"]: mark["quote_url"] for mark in marks}
