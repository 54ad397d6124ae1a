# SPDX-License-Identifier: Apache-2.0
"""From an archive to captures. Nothing above this room knows about tar.

:func:`read_bundle` streams the archive into memory within :class:`Limits` and never extracts it;
:mod:`vnetkb.bundle.validate` tells every fault of a bundle, for ``vnetkb validate``.
"""

from vnetkb.bundle.limits import DEFAULT_LIMITS, Limits
from vnetkb.bundle.manifest import Absent, Capture, Manifest, Moment, Snapshot
from vnetkb.bundle.model import Bundle, BundleNotice
from vnetkb.bundle.reader import read_bundle

__all__ = [
    "DEFAULT_LIMITS",
    "Absent",
    "Bundle",
    "BundleNotice",
    "Capture",
    "Limits",
    "Manifest",
    "Moment",
    "Snapshot",
    "read_bundle",
]
