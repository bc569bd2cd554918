"""Ends the visible answer at a stop string, wherever the stream is cut. Pure.

Done here and not by the model's server, which would find the string inside the reasoning too.
"""


class StopReader:
    """Lets text through up to the first stop string, which is not part of the answer."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """Take a piece; return what cannot be part of a stop string."""
        if self.stopped:
            return ""
        if not self._stops:
            return piece
        text = self._held + piece
        place, open_from = self._first(text), len(text) - self._partial(text)
        # A longer stop string may have begun before a shorter one that is whole already.
        if place is not None and place <= open_from:
            self.stopped, self._held = True, ""
            return text[:place]
        self._held = text[open_from:]
        return text[:open_from]

    def flush(self) -> str:
        """Return what was held back at the end of the stream."""
        held, self._held = self._held, ""
        place = self._first(held)
        self.stopped = self.stopped or place is not None
        return held[:place]

    def _first(self, text: str) -> int | None:
        return min((place for stop in self._stops if (place := text.find(stop)) >= 0), default=None)

    def _partial(self, text: str) -> int:
        """Length of the longest end of the text that begins some stop string."""
        longest = max((len(stop) for stop in self._stops), default=0)
        for length in range(min(longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
