# SPDX-License-Identifier: Apache-2.0
"""A kernel release belongs to a tree family, and only that family's ranges say something of it."""

from pathlib import Path

import pytest

from vnetkb.kb import kernels, load
from vnetkb.kb.model import Behaviour, Proof, VersionRange

SMALL = Path(__file__).parent / "small"


@pytest.mark.parametrize(
    ("release", "version", "tree", "numbers", "series"),
    [
        ("4.19.90", "", "upstream", (4, 19, 90), "4.19"),
        ("5.10", "", "upstream", (5, 10), "5.10"),
        ("7.2.13", "#1 SMP", "upstream", (7, 2, 13), "7.2"),
        ("6.1.0-35-amd64", "#1 SMP Debian 6.1.137-1 (2025-05-07)", "debian", (6, 1, 137), "6.1"),
        ("6.12.57+deb13-cloud-amd64", "", "debian", (6, 12, 57), "6.12"),
        ("5.10.0-32-cloud-amd64", "#1 SMP Debian 5.10.223-1", "debian", (5, 10, 223), "5.10"),
        ("4.18.0-394.el8.x86_64", "#1 SMP", "el8", (4, 18, 0, 394), "el8"),
        ("4.18.0-553.16.1.el8_10.x86_64", "#1 SMP", "el8", (4, 18, 0, 553), "el8"),
        ("3.10.0-1160.el7.x86_64", "#1 SMP", "el7", (3, 10, 0, 1160), "el7"),
        ("5.14.0-427.13.1.el9_4.x86_64", "#1 SMP", "el9", (5, 14, 0, 427), "el9"),
        ("5.10.0-60.18.0.50.oe2203.x86_64", "#1 SMP", "openeuler", (5, 10, 0, 60), "5.10"),
        ("5.15.0-91-generic", "#101-Ubuntu SMP", "ubuntu", (5, 15, 0, 91), "5.15"),
        ("5.14.21-150500.55.44-default", "#1 SMP", "suse", (5, 14, 21, 150500), "5.14"),
        ("6.18.44-fc-v657", "#1 SMP", "other", (6, 18, 44), "6.18"),
    ],
)
def test_a_release_is_told_apart(
    release: str, version: str, tree: str, numbers: tuple[int, ...], series: str
) -> None:
    kernel = kernels.identify(release, version)
    assert kernel is not None
    assert (kernel.tree, kernel.numbers, kernel.series) == (tree, numbers, series)


def test_what_has_no_version_is_no_kernel() -> None:
    assert kernels.identify("") is None
    assert kernels.identify("unknown") is None


@pytest.mark.parametrize(
    ("release", "known"),
    [
        ("4.19.90", False),
        ("5.10.223", False),
        ("5.11.0", None),
        ("6.0.19", None),
        ("6.1.0", True),
        ("7.2.13", True),
        ("4.18.0-394.el8.x86_64", True),
        ("4.18.0-193.el8.x86_64", None),
        ("5.10.0-60.18.0.50.oe2203.x86_64", None),
        ("6.5.0-15-generic", None),
        ("6.18.44-fc-v657", None),
    ],
)
def test_ranges_speak_only_for_their_own_tree(release: str, known: bool | None) -> None:  # noqa: FBT001
    kb = load.load_documents(list(load.read_folder(SMALL)))
    assert kernels.known(kb.behaviours["box-has-ring"], kernels.identify(release)) is known


def test_debian_follows_upstream_by_the_version_it_is_made_from() -> None:
    kb = load.load_documents(list(load.read_folder(SMALL)))
    behaviour = kb.behaviours["box-has-ring"]
    debian = kernels.identify("6.1.0-35-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.137-1 (2025-05-07)")
    assert kernels.known(behaviour, debian) is True


def test_another_programs_versions_say_nothing_of_a_kernel() -> None:
    span = VersionRange((2, 5, 0), (2, 14, 0), present=True, proof=Proof())
    behaviour = Behaviour("b", "t", "d", None, "openvswitch", {"upstream": (span,)}, Proof())
    assert kernels.known(behaviour, kernels.identify("2.6.32")) is None
    assert kernels.in_ranges(behaviour, "upstream", (2, 13, 1)) is True
    assert kernels.in_ranges(behaviour, "upstream", (2, 14, 0)) is None


def test_our_own_behaviours_know_what_was_measured() -> None:
    """The table of experiments: what 5.10, 6.1, 6.12 and 7.2 showed."""
    behaviours = load.load_kb().behaviours
    table = {
        "drop-reasons": (False, True, True, True),
        "noop-counts-tx-dropped": (False, False, True, True),
        "vhost-worker-is-thread": (False, False, True, True),
        "tap-shows-netdev-stats": (False, True, True, True),
        "tap-hides-frame-errors": (False, True, True, True),
        "size-zero-drops-in-tun": (False, True, True, True),
        "tap-drops-per-cpu-u32": (True, False, False, False),
    }
    for name, expected in table.items():
        for release, present in zip(("5.10.223", "6.1.176", "6.12.117", "7.2.13"), expected, strict=True):
            assert kernels.known(behaviours[name], kernels.identify(release)) is present, (name, release)


@pytest.mark.parametrize(
    ("series", "found"),
    [
        ("5.10", ("5.10",)),
        ("5.15", ("5.10", "6.1")),
        ("4.4", ("4.19",)),
        ("8.0", ("7.2",)),
        ("el8", ("el8",)),
        ("el9", ()),
    ],
)
def test_a_series_that_was_not_read_lies_between_two_that_were(series: str, found: tuple[str, ...]) -> None:
    assert kernels.nearest(series, ["7.2", "5.10", "6.1", "4.19", "el8", "6.12"]) == found
