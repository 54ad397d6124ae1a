# SPDX-License-Identifier: Apache-2.0
"""The packet's path to a device as text and as JSON: every point with its counts, and where it loses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.language import tr
from vnetkb.report import words
from vnetkb.report.as_json import valid_utf8
from vnetkb.wide import columns, ljust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.facts.path import Path, PathCount, PathPoint


def render_path(path: Path) -> str:
    """Return the path as lines of text, from where packets come in to where they end."""
    texts = [(words.point_kind(point), _name(point)) for point in path.points]
    kinds, names = (max(columns(row[column]) for row in texts) for column in (0, 1))
    lines = [_over(path)]
    before: str | None = None
    for (kind, name), point in zip(texts, path.points, strict=True):
        if before is not None:
            lost = f"  <- {words.lost_here(path)}" if path.losing == (before, point.id) else ""
            lines.append(f"  |{lost}")
        counts = list(_counts(point)) or [""]
        lines.append(f"{ljust(kind, kinds)}  {ljust(name, names)}  {counts[0]}".rstrip())
        lines.extend(f"  |{' ' * (kinds + names + 1)}{more}" for more in counts[1:])
        before = point.id
    lines += [said for said in (words.apart(path), path.note) if said]
    return "\n".join(lines) + "\n"


def _over(path: Path) -> str:
    if path.seconds is None:
        return tr("one snapshot: numbers of packets are not known")
    return tr("packets in {seconds} s", seconds=f"{path.seconds:g}")


def _name(point: PathPoint) -> str:
    return " ".join(part for part in (words.one_line(point.name or ""), words.point_detail(point)) if part)


def _counts(point: PathPoint) -> Iterator[str]:
    for count in point.counts:
        yield f"{words.point_count(count)} ({count.counter}){_why(count)}"


def _why(count: PathCount) -> str:
    if count.value is None:
        return f": {count.why_unknown}" if count.why_unknown else ""
    return f"   [{words.members(count.captures)}]" if count.captures else ""


def render_path_json(path: Path) -> str:
    """Return the path as one JSON document with a final newline."""
    return valid_utf8(path_document(path))


def path_document(path: Path) -> dict[str, Any]:
    """Return the path as plain data."""
    return {
        "way": path.way,
        "seconds": path.seconds,
        "losing": list(path.losing) if path.losing else None,
        "lost": path.lost,
        "at_least": path.at_least,
        "note": path.note,
        "apart": {"seconds": path.apart[0], "packets": path.apart[1]} if path.apart else None,
        "points": [
            {
                "id": point.id,
                "kind": point.kind,
                "name": point.name,
                "detail": point.detail,
                "counts": [
                    {
                        "role": count.role,
                        "counter": count.counter,
                        "value": count.value,
                        "captures": list(count.captures),
                        "why_unknown": count.why_unknown,
                        "of_all": count.of_all,
                    }
                    for count in point.counts
                ],
            }
            for point in path.points
        ],
    }
