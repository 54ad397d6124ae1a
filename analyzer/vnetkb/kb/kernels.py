# SPDX-License-Identifier: Apache-2.0
"""Kernel releases: which tree family one belongs to, and what is known of it.

Vendors take changes back into old versions, so a version says something only within its own tree family.
Debian's stable kernels follow the upstream stable series: upstream ranges hold for them unless Debian has its
own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vnetkb.kb.model import Behaviour
    from vnetkb.kb.reference import ByKernel, Cited

_Text = TypeVar("_Text", "ByKernel", "Cited")

TREES = ("upstream", "debian", "ubuntu", "el7", "el8", "el9", "el10", "openeuler", "suse", "other")
"""The tree families; `other` is a vendor's tree of which nothing is known."""

_UPSTREAM_LIKE = ("debian",)
_EL = re.compile(r"\.el(7|8|9|10)(?:_\d+|\.|$)")
_DEBIAN_VERSION = re.compile(r"Debian (\d+(?:\.\d+)+)")
_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:-(\d+)(?=[.-]|$))?")


class Kernel(NamedTuple):
    """A kernel release.

    Attributes:
        release: As `uname -r` prints it.
        tree: One of `TREES`.
        numbers: Its version, comparable within its tree: `5.10.223` gives (5, 10, 223); of a vendor's release
            `4.18.0-394.el8` the build number belongs to it.
    """

    release: str
    tree: str
    numbers: tuple[int, ...]

    @property
    def series(self) -> str:
        """The series whose sources are listed in the knowledge base: `5.10`, or `el8` for a vendor's."""
        if self.tree.startswith("el"):
            return self.tree
        return ".".join(str(number) for number in self.numbers[:2])


def identify(release: str, version: str = "") -> Kernel | None:
    """Return what a kernel release is, `None` if it has no version at all.

    Args:
        release: `uname -r`, or only a version such as `4.19.90`.
        version: `uname -v`; Debian puts the upstream version there.
    """
    match = _NUMBERS.match(release)
    if match is None:
        return None
    upstream = tuple(int(part) for part in match.groups()[:3] if part is not None)
    debian = _DEBIAN_VERSION.search(version)
    if debian is not None:
        return Kernel(release, "debian", tuple(int(part) for part in debian[1].split(".")))
    tree = _tree(release)
    if tree in {"upstream", "debian"}:
        return Kernel(release, tree, upstream)
    build = () if match[4] is None else (int(match[4]),)
    return Kernel(release, tree, (*upstream, *build))


def _tree(release: str) -> str:
    enterprise = _EL.search(release)
    if enterprise is not None:
        return f"el{enterprise[1]}"
    for pattern, tree in (
        (r"\.oe\d*|oe\d{4}|openeuler", "openeuler"),
        (r"\+deb\d+|-\d+-(?:cloud-|rt-)?(?:amd64|arm64)$|\d+~?bpo", "debian"),
        (r"-(?:generic|lowlatency|kvm|aws|azure|gcp|virtual)$", "ubuntu"),
        (r"-default$|\.sles|lp\d{3}", "suse"),
    ):
        if re.search(pattern, release, re.IGNORECASE):
            return tree
    return "upstream" if re.fullmatch(r"\d+\.\d+(\.\d+)?(-rc\d+)?\+?", release) else "other"


def known(behaviour: Behaviour, kernel: Kernel | None) -> bool | None:
    """Tell whether a kernel has a behaviour, by the ranges of its tree; `None` if they do not say.

    Ranges of another program than the kernel never say anything here.
    """
    if kernel is None or behaviour.program != "kernel":
        return None
    tree = kernel.tree
    if tree in _UPSTREAM_LIKE and tree not in behaviour.ranges:
        tree = "upstream"
    return in_ranges(behaviour, tree, kernel.numbers)


def in_ranges(behaviour: Behaviour, tree: str, version: tuple[int, ...]) -> bool | None:
    """Tell whether the ranges of a tree (for a program: `upstream`) say that a version has a behaviour."""
    for span in behaviour.ranges.get(tree, ()):
        after = span.start is None or version >= span.start
        if after and (span.below is None or version < span.below):
            return span.present
    return None


def variants(texts: Iterable[_Text], series: str | None) -> tuple[_Text, ...]:
    """Return the texts that hold for a kernel series; all of them without one."""
    return tuple(text for text in texts if series is None or not text.kernels or series in text.kernels)


def nearest(series: str, among: Iterable[str]) -> tuple[str, ...]:
    """Return the read series that a series lies between: itself if it was read, else its neighbours.

    A vendor's series has no neighbours.
    """
    candidates = sorted((numbers(each), each) for each in set(among) if not each.startswith("el"))
    if series in set(among):
        return (series,)
    if not re.fullmatch(r"\d+\.\d+", series):
        return ()
    wanted = numbers(series)
    before = [each for number, each in candidates if number < wanted]
    after = [each for number, each in candidates if number > wanted]
    return (*before[-1:], *after[:1])


def numbers(series: str) -> tuple[int, ...]:
    """Return the numbers of a version, for sorting."""
    return tuple(int(part) for part in re.findall(r"\d+", series))
