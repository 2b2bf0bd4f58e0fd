"""Curves on logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# Distinguishable with colour vision deficiency (Okabe and Ito 2008).
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")
_WIDTH, _HEIGHT = 320, 260  # of the plotting area of a panel
_LEFT, _TOP, _GAP, _LINE = 60, 66, 84, 17


@dataclass(frozen=True)
class Curve:
    """A line in a panel.

    Attributes:
        name: name in the legend.
        points: (x, y), both above 0.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """A pair of axes with curves.

    Attributes:
        title: name of y, with its unit.
        curves: curves over the same values of x.
        marks: vertical lines that refer to the first curve, as (x, label).
    """

    title: str
    curves: Sequence[Curve]
    marks: Sequence[tuple[float, str]] = field(default_factory=tuple)


class _Axis:
    """Maps values to coordinates, on a logarithmic scale between two coordinates."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self.low, self.high = min(values), max(values)
        self._first, self._last = first, last

    def place(self, value: float) -> float:
        span = math.log(self.high / self.low) or 1.0
        share = math.log(value / self.low) / span
        return round(self._first + share * (self._last - self._first), 1)


def render(title: str, x_title: str, panels: Sequence[Panel]) -> str:
    """Return an SVG with panels side by side.

    Args:
        title: title above all panels.
        x_title: title of each x axis.
        panels: panels to draw; the n-th curve has the same colour in each.
    """
    width = _LEFT + len(panels) * (_WIDTH + _GAP) - _GAP + 30
    height = _TOP + _HEIGHT + 58 + _LINE * max(len(panel.curves) for panel in panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(_LEFT, 24, title, size=15),
    ]
    for number, panel in enumerate(panels):
        lines += _panel(panel, x_title, _LEFT + number * (_WIDTH + _GAP))
    return "\n".join([*lines, "</svg>\n"])


def _panel(panel: Panel, x_title: str, left: float) -> Iterator[str]:
    xs = [x for curve in panel.curves for x, _ in curve.points]
    ys = [y for curve in panel.curves for _, y in curve.points]
    bottom = _TOP + _HEIGHT
    x_axis = _Axis(xs, left, left + _WIDTH)
    y_axis = _Axis([min(ys) / 1.5, max(ys) * 1.5], bottom, _TOP)
    yield _text(left, _TOP - 14, panel.title, size=13)
    for power in range(math.ceil(math.log10(y_axis.low)), math.floor(math.log10(y_axis.high)) + 1):
        y = y_axis.place(10.0**power)
        yield _line(left, y, left + _WIDTH, y, "#ddd")
        yield _text(left - 6, y + 4, f"{10.0**power:g}", anchor="end")
    for x in sorted(set(xs)):
        yield _line(x_axis.place(x), bottom, x_axis.place(x), bottom + 4, "#888")
        yield _text(x_axis.place(x), bottom + 17, f"{x:g}", anchor="middle", size=10)
    yield (
        f'<rect x="{left}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" '
        'stroke="#888"/>'
    )
    yield _text(left + _WIDTH / 2, bottom + 34, x_title, anchor="middle")
    for number, (x, label) in enumerate(panel.marks):
        place, y = x_axis.place(x), _TOP + 14 * (number + 1)
        is_left = place < left + _WIDTH / 2
        yield _line(place, _TOP, place, bottom, _COLOURS[0], dash="3 3")
        x, anchor = (place + 4, "start") if is_left else (place - 4, "end")
        yield _text(x, y, label, anchor=anchor, size=10, colour=_COLOURS[0])
    for number, (curve, colour) in enumerate(zip(panel.curves, _COLOURS, strict=False)):
        yield _curve([(x_axis.place(x), y_axis.place(y)) for x, y in curve.points], colour)
        y = bottom + 54 + _LINE * number
        yield _line(left, y - 4, left + 18, y - 4, colour, stroke=2)
        yield _text(left + 24, y, curve.name)


def _curve(places: Sequence[tuple[float, float]], colour: str) -> str:
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.5"/>' for x, y in places)
    line = " ".join(f"{x},{y}" for x, y in places)
    return (
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<g fill="{colour}">{dots}</g>'
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, stroke: int = 1, dash: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" '
        f'stroke-width="{stroke}"{dashed}/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "black"
) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
