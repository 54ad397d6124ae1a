# SPDX-License-Identifier: Apache-2.0
"""Facts about the host itself, by which behaviours of its kernel are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts.model import Fact
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vnetkb.facts.tables import Tables


class HostFacts:
    """Facts of one host, each computed when asked for."""

    def __init__(self, tables: Tables) -> None:
        """Keep the captures; nothing is computed yet."""
        self.tables = tables

    def fact(self, name: str) -> Fact:
        """Return one fact; a name that no function provides is unknown."""
        provider = HOST_PROVIDERS.get(name)
        return provider(self.tables) if provider else Fact(name, why_unknown=tr("not computed for a host"))

    @property
    def drops(self) -> Sequence[int | None]:
        """A host has no drops of its own."""
        return ()


def _trace_has_drop_reasons(tables: Tables) -> Fact:
    name = "host.trace_has_drop_reasons"
    features = tables.once("trace-features")
    if features is None or not features.kfree_skb:
        why = (
            tables.why("trace-features", tables.first)
            if features is None
            else tr("tracefs is not mounted or not readable")
        )
        return Fact(name, missing=("trace-features",), why_unknown=why)
    return Fact(name, bool(features.kfree_skb_reason), captures=(tables.once_path("trace-features"),))


def _vhost_worker_is_thread(tables: Tables) -> Fact:
    name = "host.vhost_worker_is_thread"
    for n in tables.snapshots:
        for row in (tables.get("proc-status", n) or {}).values():
            prefix, _, owner = row.name.partition("-")
            if prefix == "vhost" and owner.isdigit():
                return Fact(name, row.pid == int(owner), captures=(tables.path("proc-status", n),))
    return Fact(name, missing=("proc-status",), why_unknown=tr("no vhost worker was seen"))


def _softnet_columns(tables: Tables) -> Fact:
    name = "host.softnet_columns"
    for n in tables.snapshots:
        data = tables.bundle.data("softnet-stat", n)
        if data:
            columns = len(data.partition(b"\n")[0].split())
            return Fact(name, columns, captures=(tables.path("softnet-stat", n),))
    return Fact(name, missing=("softnet-stat",), why_unknown=tr("softnet_stat was not taken"))


HOST_PROVIDERS: dict[str, Callable[[Tables], Fact]] = {
    "host.trace_has_drop_reasons": _trace_has_drop_reasons,
    "host.vhost_worker_is_thread": _vhost_worker_is_thread,
    "host.softnet_columns": _softnet_columns,
}
