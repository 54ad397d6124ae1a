# SPDX-License-Identifier: Apache-2.0
"""A bundle that was read: its manifest and the raw text of its captures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from vnetkb.bundle.archive import shown
from vnetkb.bundle.manifest import member_path
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vnetkb.bundle.manifest import Absent, Capture, Manifest

Key = tuple[str, int | None, str]


class BundleNotice(NamedTuple):
    """Something about the bundle that a reader of the report should know.

    Attributes:
        level: ``info`` or ``warning``.
        member: The member it is about; None for the bundle as a whole.
        text: One plain sentence without a full stop.
    """

    level: Literal["info", "warning"]
    member: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        name: Name of the file.
        folder: Its top folder.
        sha256: Sum of the file.
        manifest: The manifest.
        notices: What is damaged, missing or left out.
    """

    name: str
    folder: str
    sha256: str
    manifest: Manifest
    notices: tuple[BundleNotice, ...]
    _captures: Mapping[Key, Capture] = field(repr=False)
    _data: Mapping[Key, bytes] = field(repr=False)
    _damage: Mapping[Key, str] = field(repr=False)

    def capture(self, capture_id: str, snapshot: int | None = None, scope: str = "host") -> Capture | None:
        """Return what the manifest says of a capture; None when it does not name it."""
        return self._captures.get((capture_id, snapshot, scope))

    def data(self, capture_id: str, snapshot: int | None = None, scope: str = "host") -> bytes | None:
        """Return the raw text of a capture; None when it is absent or damaged.

        A capture that was cut at a limit ends with its last whole line.
        """
        return self._data.get((capture_id, snapshot, scope))

    def why_absent(self, capture_id: str, snapshot: int | None = None, scope: str = "host") -> str:
        """Say in plain words why :meth:`data` gives None; empty when it gives text."""
        key = (capture_id, snapshot, scope)
        if key in self._data:
            return ""
        if key in self._damage:
            return self._damage[key]
        capture = self._captures.get(key)
        if capture is None or capture.absent is None:
            return tr("{file} was not collected", file=self.path(capture_id, snapshot, scope))
        return tr(
            "{file} is missing: {reason}",
            file=self.path(capture_id, snapshot, scope),
            reason=reason_of(capture.absent),
        )

    def path(self, capture_id: str, snapshot: int | None = None, scope: str = "host") -> str:
        """Return the member path of a capture inside the top folder, like ``host/1/sysfs-net``."""
        capture = self._captures.get((capture_id, snapshot, scope))
        return capture.place if capture is not None else member_path(capture_id, snapshot, scope)


_REASONS = {
    "tool-missing": mark("the host has no such tool"),
    "not-root": mark("the collector did not run as root"),
    "not-supported": mark("this host does not support it"),
    "timed-out": mark("the command took too long"),
    "not-asked": mark("it was not asked for"),
    "failed": mark("the command failed"),
    "empty": mark("there was nothing to take"),
    "not-found": mark("there was nothing of this kind"),
}


def reason_of(absent: Absent) -> str:
    """Return in plain words why the collector did not take a capture."""
    reason = tr(_REASONS[absent.reason]) if absent.reason in _REASONS else shown(absent.reason)
    if not absent.detail:
        return reason
    return tr("{reason} ({detail})", reason=reason, detail=shown(absent.detail))
