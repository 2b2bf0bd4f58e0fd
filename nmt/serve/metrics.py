"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_LINES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "nmt_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "nmt_request_seconds", "Time to answer.", ["path"], buckets=_SECONDS, registry=registry
        )
        self._batch_lines = Histogram(
            "nmt_batch_lines", "Lines in a batch.", buckets=_LINES, registry=registry
        )
        self._batch_seconds = Histogram(
            "nmt_batch_seconds", "Time of a batch.", buckets=_SECONDS, registry=registry
        )
        self._characters = Counter(
            "nmt_characters", "Characters to translate.", ["pair"], registry=registry
        )
        self._checked = Counter(
            "nmt_checked_segments", "Segments that the guard has checked.", registry=registry
        )
        self._flagged = Counter(
            "nmt_flagged_segments", "Checked segments with a flag.", registry=registry
        )
        self._flags = Counter("nmt_flags", "Flags of segments.", ["flag"], registry=registry)
        self._died = Counter("nmt_worker_deaths", "Processes that ended.", registry=registry)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a figure that is looked up when it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def count_batch(self, lines: int, seconds: float) -> None:
        """Count a batch that has ended."""
        self._batch_lines.observe(lines)
        self._batch_seconds.observe(seconds)

    def count_characters(self, pair: str, number: int) -> None:
        """Count the characters of a text to translate."""
        self._characters.labels(pair).inc(number)

    def count_checked(self, flags: Sequence[str]) -> None:
        """Count a segment that the guard has checked, and its flags."""
        self._checked.inc()
        self._flagged.inc(bool(flags))
        for flag in flags:
            self._flags.labels(flag).inc()

    def count_death(self) -> None:
        """Count a worker that has ended."""
        self._died.inc()

    def render(self) -> bytes:
        """Return all figures in Prometheus' format."""
        return generate_latest(self._registry)
