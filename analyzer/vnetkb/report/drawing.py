# SPDX-License-Identifier: Apache-2.0
"""Where the parts of a drawing stand: boxes and arrows of a path, lines of a plot. Only geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vnetkb.report import words
from vnetkb.wide import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vnetkb.facts.path import Path, PathPoint
    from vnetkb.facts.plots import Curve, Plot

WIDE_LETTERS, TALL_LETTERS = 18, 26
"""Letters of a name that a box has room for."""
MARGIN = 8
WIDE_BOX, WIDE_HEIGHT, WIDE_GAP = 174, 66, 42
TALL_BOX, TALL_HEIGHT, TALL_GAP = 330, 62, 44
PLOT_WIDTH, PLOT_HEIGHT = 1000.0, 100.0


@dataclass(frozen=True, slots=True)
class Label:
    """A text in a drawing; ``full`` is the whole of one that had to be cut."""

    x: float
    y: float
    text: str
    style: str
    full: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A point of the path."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line from one point to the next; ``losing`` where packets are lost on it."""

    x1: float
    y1: float
    x2: float
    y2: float
    losing: bool


@dataclass(frozen=True, slots=True)
class PathDrawing:
    """A path, laid out along a line or down a column."""

    layout: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    drains: tuple[Arrow, ...]
    labels: tuple[Label, ...]


def wide(path: Path) -> PathDrawing:
    """Return a path from left to right, for a screen or a page."""
    boxes, arrows, drains, labels = [], [], [], []
    for index, point in enumerate(path.points):
        x = MARGIN + index * (WIDE_BOX + WIDE_GAP)
        boxes.append(Box(x, MARGIN, WIDE_BOX, WIDE_HEIGHT))
        labels += _inside(point, x + 8, MARGIN + 18, WIDE_LETTERS)
        for row, text in enumerate(words.point_counts(point)):
            style = "lost" if text.lost else "count"
            labels.append(Label(x + 8, MARGIN + WIDE_HEIGHT + 18 + 16 * row, text.text, style))
        if index == 0:
            continue
        losing = path.losing == (path.points[index - 1].id, point.id)
        middle = MARGIN + WIDE_HEIGHT / 2
        arrows.append(Arrow(x - WIDE_GAP + 2, middle, x - 4, middle, losing))
        if losing:
            centre = x - WIDE_GAP / 2
            bottom = MARGIN + WIDE_HEIGHT + 52
            drains.append(Arrow(centre, middle, centre, bottom, losing=True))
            labels.append(Label(centre, bottom + 16, words.lost_here(path), "loss"))
    width = 2 * MARGIN + len(path.points) * (WIDE_BOX + WIDE_GAP) - WIDE_GAP
    height = MARGIN + WIDE_HEIGHT + 78
    return PathDrawing("wide", width, height, *map(tuple, (boxes, arrows, drains, labels)))  # type: ignore[arg-type]


def tall(path: Path) -> PathDrawing:
    """Return a path from top to bottom, for a phone."""
    boxes, arrows, drains, labels = [], [], [], []
    for index, point in enumerate(path.points):
        y = MARGIN + index * (TALL_HEIGHT + TALL_GAP)
        boxes.append(Box(MARGIN, y, TALL_BOX, TALL_HEIGHT))
        labels += _inside(point, MARGIN + 8, y + 18, TALL_LETTERS)
        for row, text in enumerate(words.point_counts(point)):
            style = "lost right" if text.lost else "count right"
            labels.append(Label(MARGIN + TALL_BOX - 8, y + 18 + 17 * row, text.text, style))
        if index == 0:
            continue
        losing = path.losing == (path.points[index - 1].id, point.id)
        arrows.append(Arrow(60, y - TALL_GAP + 2, 60, y - 4, losing))
        if losing:
            middle = y - TALL_GAP / 2
            drains.append(Arrow(60, middle, 100, middle, losing=True))
            labels.append(Label(108, middle + 4, words.lost_here(path), "loss left"))
    height = 2 * MARGIN + len(path.points) * (TALL_HEIGHT + TALL_GAP) - TALL_GAP
    return PathDrawing(
        "tall",
        TALL_BOX + 2 * MARGIN,
        height,
        *map(tuple, (boxes, arrows, drains, labels)),  # type: ignore[arg-type]
    )


def _inside(point: PathPoint, x: float, y: float, letters: int) -> list[Label]:
    texts = (
        (words.point_kind(point), "kind"),
        (words.one_line(point.name or ""), "name"),
        (words.point_detail(point), "detail"),
    )
    labels = []
    for row, (text, style) in enumerate(texts):
        room = letters if style == "name" else letters + 5
        if text:
            whole = text if columns(text) > room else ""
            labels.append(Label(x, y + 17 * row, _cut(text, room), style, whole))
    return labels


def _cut(text: str, letters: int) -> str:
    if columns(text) <= letters:
        return text
    kept = text[: letters - 1]
    while columns(kept) > letters - 1:
        kept = kept[:-1]
    return f"{kept}…"


@dataclass(frozen=True, slots=True)
class Line:
    """One curve of a plot as the path of an SVG element, and its name."""

    id: str
    name: str
    line: str
    area: str
    members: str


@dataclass(frozen=True, slots=True)
class PlotDrawing:
    """A plot: its lines and what stands at its axes."""

    title: str
    top: str
    until: str
    lines: tuple[Line, ...]
    gaps: bool
    marks: tuple[float, ...]


def plot(drawn: Plot) -> PlotDrawing:
    """Return a plot's lines in a space of 1000 by 100, which the page stretches."""
    span = drawn.starts[-1] + drawn.seconds[-1] if drawn.starts else 1.0
    lines = tuple(_line(curve, drawn, span or 1.0) for curve in drawn.curves)
    return PlotDrawing(
        words.plot_title(drawn),
        words.plot_top(drawn),
        words.plot_until(span),
        lines,
        any(None in curve.values for curve in drawn.curves),
        tuple(round(PLOT_WIDTH * mark / (span or 1.0), 1) for mark in drawn.marks),
    )


def _line(curve: Curve, drawn: Plot, span: float) -> Line:
    steps: list[str] = []
    areas: list[str] = []
    top = drawn.top or 1.0
    for values in _known_runs(curve.values):
        points = []
        for index, value in values:
            y = PLOT_HEIGHT * (1 - value / top)
            start, end = drawn.starts[index], drawn.starts[index] + drawn.seconds[index]
            points += [(start, y), (end, y)]
        at = [f"{PLOT_WIDTH * x / span:.1f} {y:.1f}" for x, y in points]
        steps.append(f"M{' L'.join(at)}")
        first, last = (f"{PLOT_WIDTH * points[i][0] / span:.1f} {PLOT_HEIGHT:.1f}" for i in (0, -1))
        areas.append(f"M{first} L{' L'.join(at)} L{last} Z")
    area = " ".join(areas) if curve.id == "lost" else ""
    return Line(
        curve.id.replace(".", "-").replace("_", "-"),
        words.curve_name(curve.id),
        " ".join(steps),
        area,
        words.members(curve.captures),
    )


def _known_runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]
