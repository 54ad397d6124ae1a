# SPDX-License-Identifier: Apache-2.0
"""What is known of the host's kernel and programs.

By a feature seen in the bundle, else by version ranges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts.host import HostFacts
from vnetkb.kb import kernels
from vnetkb.kb.model import FactTest, Operator

if TYPE_CHECKING:
    from vnetkb.facts.tables import Tables
    from vnetkb.kb.model import Behaviour, Condition, KnowledgeBase

OPEN_VSWITCH = "openvswitch"
# Holds the release of the kernel.
MANIFEST = "manifest.json"


def resolve(kb: KnowledgeBase, tables: Tables, ovs: tuple[int, ...] | None = None) -> dict[str, bool | None]:
    """Return for each behaviour whether the host has it.

    None where neither a feature nor a version range tells.

    Args:
        kb: The knowledge base.
        tables: The captures.
        ovs: Version of the Open vSwitch that runs; None where none does.
    """
    manifest = tables.bundle.manifest
    kernel = kernels.identify(manifest.kernel_release, manifest.kernel_version)
    host = HostFacts(tables)
    return {name: _one(behaviour, host, kernel, ovs) for name, behaviour in kb.behaviours.items()}


def rest_on(kb: KnowledgeBase, tables: Tables) -> dict[str, tuple[str, ...]]:
    """Return for each behaviour the members of the bundle that tell whether the host has it.

    Args:
        kb: The knowledge base.
        tables: The captures.
    """
    host = HostFacts(tables)
    found = {}
    for name, behaviour in kb.behaviours.items():
        feature = behaviour.feature
        told = host.fact(feature.fact) if isinstance(feature, FactTest) else None
        if told is not None and told.value is not None:
            found[name] = told.captures
        elif behaviour.program == OPEN_VSWITCH:
            found[name] = (tables.once_path("ovs-open-vswitch"),)
        else:
            found[name] = (MANIFEST,)
    return found


def _one(
    behaviour: Behaviour, host: HostFacts, kernel: kernels.Kernel | None, ovs: tuple[int, ...] | None
) -> bool | None:
    seen = _feature(behaviour.feature, host) if behaviour.feature is not None else None
    if seen is not None:
        return seen
    if behaviour.program == OPEN_VSWITCH:
        return kernels.in_ranges(behaviour, "upstream", ovs) if ovs is not None else None
    return kernels.known(behaviour, kernel)


def _feature(condition: Condition, host: HostFacts) -> bool | None:
    """Return the truth of a feature test.

    One comparison of one fact of the host for equality (lint holds to that).
    """
    if not isinstance(condition, FactTest) or condition.operator is not Operator.EQUALS:
        return None
    value = host.fact(condition.fact).value
    return None if value is None else value == condition.operand
