# SPDX-License-Identifier: Apache-2.0
"""What was read in a package, and so is checked, is marked apart from what rests on the word of others."""

import re
from collections.abc import Iterator

from vnetkb import paths
from vnetkb.kb import load
from vnetkb.kb.model import Proof
from vnetkb.kb.verified import load_lines

KB = load.load_kb()
NOT_A_KERNEL = re.compile(r"[a-z]\S* \S+")


def proofs() -> Iterator[tuple[str, Proof]]:
    """Yield every proof of the knowledge base with the item that it is of."""
    for items in (KB.sites, KB.counters, KB.behaviours, KB.rules, KB.remedies):
        for name, item in items.items():
            yield name, item.proof
    for name, behaviour in KB.behaviours.items():
        for spans in behaviour.ranges.values():
            for span in spans:
                yield name, span.proof


def test_source_means_a_package_that_verify_has_read() -> None:
    series = {".".join(version.split(".")[:2]) for version in load_lines(paths.kb_dir())}
    assert series == {"5.10", "6.1", "6.12", "7.2"}
    wrong = {
        (name, each)
        for name, proof in proofs()
        for each in proof.source
        if ".".join(each.split(".")[:2]) not in series and not NOT_A_KERNEL.fullmatch(each)
    }
    assert wrong == set()


def test_claims_on_older_kernels_are_marked_as_resting_on_public_source() -> None:
    for site in KB.sites.values():
        old = {series for series in site.kernels if series.startswith(("4.", "el"))}
        assert old <= set(site.proof.public), site.id


def test_every_behaviour_says_for_some_kernel_or_version_what_holds() -> None:
    for behaviour in KB.behaviours.values():
        assert any(behaviour.ranges.values()), behaviour.id
        assert all(span.proof for spans in behaviour.ranges.values() for span in spans), behaviour.id
