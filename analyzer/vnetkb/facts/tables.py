# SPDX-License-Identifier: Apache-2.0
"""Captures parsed once, on first use, with every failure turned into "unknown" and a notice."""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vnetkb.errors import VnetkbError
from vnetkb.facts.model import Notice
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable

    from vnetkb.bundle import Bundle

UPTIME_STEP_S = 0.01
NOTHING_THERE = ("not-found", "not-supported", "empty")
NOT_TO_BE_HAD = (*NOTHING_THERE, "too-many")


class Tables:
    """Parsed captures of one bundle, by capture id, snapshot and scope.

    A capture that is absent, damaged or in a layout that its parser does not know gives None; the reason is
    kept in :meth:`why`, and an unknown layout is also kept as a notice, so that nothing is guessed.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Keep the bundle; nothing is parsed yet."""
        self.bundle = bundle
        self.notices: list[Notice] = []
        self._parsed: dict[tuple[str, str, int | None, str], Any] = {}
        self._faults: dict[tuple[str, int | None, str], str] = {}
        self._can_be_had: dict[str, bool] = {}
        self._to_be_had: dict[tuple[str, ...], tuple[str, ...]] = {}
        # Each of hundreds of devices asks the same of these.
        self._paths: dict[tuple[str, int | None, str], str] = {}
        self._taken: dict[str, tuple[str, ...]] = {}
        self._absent: dict[tuple[str, int | None, str], str] = {}

    @cached_property
    def snapshots(self) -> tuple[int, ...]:
        """Numbers of the snapshots, in order."""
        return tuple(snapshot.n for snapshot in self.bundle.manifest.snapshots)

    @cached_property
    def first(self) -> int | None:
        """The snapshot that holds what is taken once a bundle.

        The lowest number in the manifest's captures.
        """
        numbers = [
            c.snapshot for c in self.bundle.manifest.captures if c.scope == "host" and c.snapshot is not None
        ]
        return min(numbers) if numbers else None

    def get(
        self,
        capture: str,
        snapshot: int | None = None,
        *,
        scope: str = "host",
        parser: str | None = None,
    ) -> Any:  # noqa: ANN401 - as the parser types it
        """Return the rows of one capture, or None.

        Args:
            capture: Capture id; its parser is the module of the same name with underscores.
            snapshot: Snapshot number; None for captures of the series.
            scope: ``host``, ``series`` or ``guest:<vm>``.
            parser: Module name where it differs from the capture id.
        """
        key = (capture, scope, snapshot, parser or "")
        if key not in self._parsed:
            self._parsed[key] = self._parse(capture, snapshot, scope, parser or capture.replace("-", "_"))
        return self._parsed[key]

    def _parse(self, capture: str, snapshot: int | None, scope: str, module: str) -> Any:  # noqa: ANN401 - as the parser types it
        data = self.bundle.data(capture, snapshot, scope)
        if data is None:
            return None
        parse: Callable[..., Any] = importlib.import_module(f"vnetkb.parsers.{module}").parse
        parse_error: type[Exception] = importlib.import_module("vnetkb.parsers.errors").ParseError
        try:
            return parse(data)
        except parse_error as error:
            path = self.path(capture, snapshot, scope)
            self._faults[capture, snapshot, scope] = tr(
                "{file} could not be read: {error}", file=path, error=error
            )
            self.notices.append(
                Notice("warning", path, tr("not used, its layout is not known: {error}", error=error))
            )
            return None

    def once(self, capture: str, *, parser: str | None = None) -> Any:  # noqa: ANN401 - as the parser types it
        """Return the rows of a capture that is taken once a bundle."""
        return None if self.first is None else self.get(capture, self.first, parser=parser)

    def series(self, capture: str) -> tuple[tuple[int, float, bytes], ...]:
        """Return the samples of a series capture as (number, monotonic seconds, raw text).

        Empty when absent.
        """
        key = (capture, "series", None, "split")
        if key not in self._parsed:
            data = self.bundle.data(capture, None, "series")
            samples: tuple[tuple[int, float, bytes], ...] = ()
            if data is not None:
                split = importlib.import_module("vnetkb.parsers.series").split
                try:
                    samples = tuple((s.n, s.monotonic_s, s.data) for s in split(data))
                except importlib.import_module("vnetkb.parsers.errors").ParseError as error:
                    self.notices.append(
                        Notice(
                            "warning",
                            self.path(capture, None, "series"),
                            tr("not used: {error}", error=error),
                        )
                    )
            self._parsed[key] = samples
        result: tuple[tuple[int, float, bytes], ...] = self._parsed[key]
        return result

    def path(self, capture: str, snapshot: int | None = None, scope: str = "host") -> str:
        """Return the member path of a capture."""
        key = (capture, snapshot, scope)
        if key not in self._paths:
            self._paths[key] = self.bundle.path(capture, snapshot, scope)
        return self._paths[key]

    def can_be_had(self, capture: str) -> bool:
        """Whether collecting again could give a capture.

        Not where the host has nothing of the kind, nor where root took it; but another trace may see a drop.
        """
        if capture not in self._can_be_had:
            self._can_be_had[capture] = self._could_be_had(capture)
        return self._can_be_had[capture]

    def to_be_had(self, captures: tuple[str, ...]) -> tuple[str, ...]:
        """Those of some captures that collecting again could give."""
        if captures not in self._to_be_had:
            self._to_be_had[captures] = tuple([one for one in captures if self.can_be_had(one)])
        return self._to_be_had[captures]

    def _could_be_had(self, capture: str) -> bool:
        kept = [c for c in self.bundle.manifest.captures if c.id == capture]
        nothing = all(c.absent is not None and c.absent.reason in NOT_TO_BE_HAD for c in kept)
        there = all(self.bundle.data(c.id, c.snapshot, c.scope) is not None for c in kept)
        return not kept or not (nothing or (there and self.bundle.manifest.root and capture != "trace"))

    def seconds_apart(self, one: str, other: str, n: int) -> float | None:
        """How far apart in time two captures of a snapshot can lie at the most; None when that is not known.

        The manifest's times come from /proc/uptime, whose steps are 0.01 s.
        """
        spans = []
        for name in (one, other):
            capture = self.bundle.capture(name, n)
            if capture is None or capture.start_monotonic_s is None:
                return None
            spans.append(
                (
                    capture.start_monotonic_s,
                    capture.start_monotonic_s + (capture.duration_s or 0.0) + UPTIME_STEP_S,
                )
            )
        return max(end for _, end in spans) - min(start for start, _ in spans)

    @cached_property
    def times(self) -> dict[str, tuple[tuple[str, int], float, float]]:
        """For each member its sample, as scope and number, and between when it was read.

        Members of which the manifest does not tell that are left out.
        """
        return {
            c.place: (
                (c.scope, c.snapshot),
                c.start_monotonic_s,
                c.start_monotonic_s + (c.duration_s or 0.0) + UPTIME_STEP_S,
            )
            for c in self.bundle.manifest.captures
            if c.snapshot is not None and c.start_monotonic_s is not None
        }

    @cached_property
    def members(self) -> dict[str, tuple[str, int | None, str]]:
        """For each member the capture, the snapshot and the scope that it holds."""
        return {c.place: (c.id, c.snapshot, c.scope) for c in self.bundle.manifest.captures}

    def once_path(self, capture: str) -> str:
        """Return the member path of a capture that is taken once a bundle."""
        return self.path(capture, self.first)

    def paths(self, capture: str) -> tuple[str, ...]:
        """Return the member paths of a capture in every snapshot that has it."""
        if capture not in self._taken:
            self._taken[capture] = tuple(
                self.path(capture, n) for n in self.snapshots if self.bundle.data(capture, n) is not None
            )
        return self._taken[capture]

    def why(self, capture: str, snapshot: int | None = None, scope: str = "host") -> str:
        """Say in plain words why :meth:`get` gave None."""
        key = (capture, snapshot, scope)
        if key in self._faults:
            return self._faults[key]
        if key not in self._absent:
            try:
                self._absent[key] = self.bundle.why_absent(capture, snapshot, scope)
            except VnetkbError as error:
                self._absent[key] = str(error)
        return self._absent[key]
