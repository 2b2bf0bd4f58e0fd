"""The sentences of a document that have been read; see `nmt.data.context`."""

from __future__ import annotations

from collections import deque


class History:
    """Remembers the last sentences of a document.

    Args:
        size: the largest number of sentences.
    """

    def __init__(self, size: int) -> None:
        self._sentences: deque[str] = deque(maxlen=size)

    def before(self, sentence: str) -> tuple[str, ...]:
        """Return the sentences before the next one, oldest first, and remember that one.

        A blank one has no context, and ends the document.
        """
        if not sentence.strip():
            self.clear()
            return ()
        context = tuple(self._sentences)
        self._sentences.append(sentence)
        return context

    def clear(self) -> None:
        """Begin a new document."""
        self._sentences.clear()
