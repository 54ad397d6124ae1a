# SPDX-License-Identifier: Apache-2.0
"""The domain `kb`: roles such as {counter} that link to the generated reference, its part of objects.inv."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.domains import Domain, ObjType
from sphinx.roles import XRefRole
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import make_refnode

from vnetkb_docs import knowledge
from vnetkb_docs.words import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.builders import Builder
    from sphinx.environment import BuildEnvironment

KINDS = ("counter", "site", "rule", "fact", "remedy", "capture", "behaviour")
"""The kinds that have a role."""

_CODE = re.compile(r"([^:\s]+):(\w+)(?:\s*\[([\w. ]+)\])?")


class CodeRole(SphinxRole):
    """A function of the kernel: {code}`net/core/dev.c:dev_get_stats [6.1 6.12]`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the function's name with its file, and the series that have it."""
        match = _CODE.fullmatch(self.text.strip())
        if match is None:
            return [nodes.literal(self.rawtext, self.text, classes=["code"])], []
        file, function, kernels = match.groups()
        found: list[nodes.Node] = [
            nodes.literal(self.rawtext, f"{function}()", classes=["kb-function"]),
            nodes.inline("", f" ({file}{': ' + kernels if kernels else ''})", classes=["kb-file"]),
        ]
        return found, []


class KnowledgeDomain(Domain):
    """What the knowledge base holds."""

    name = "kb"
    label = "vnetkb"
    object_types: ClassVar[dict[str, ObjType]] = {kind: ObjType(kind, kind) for kind in KINDS}
    roles: ClassVar[dict[str, Any]] = {**{kind: XRefRole() for kind in KINDS}, "code": CodeRole()}
    initial_data: ClassVar[dict[str, Any]] = {"objects": {}}
    data_version = 1

    @property
    def objects(self) -> dict[tuple[str, str], tuple[str, str]]:
        """For each kind and id the page and the title."""
        found: dict[tuple[str, str], tuple[str, str]] = self.data["objects"]
        return found

    def note(self, kind: str, identity: str, docname: str, title: str) -> None:
        """Keep that a page tells of an item; its anchor is its id."""
        self.objects[kind, identity] = (docname, title)
        # Projects without this domain can link to labels only: {external+vnetkb:ref}`rule:tap-ring-full`.
        label = f"{kind}:{identity}".lower()
        standard = self.env.domains.standard_domain
        standard.labels[label] = (docname, identity, identity)
        standard.anonlabels[label] = (docname, identity)

    def clear_doc(self, docname: str) -> None:
        """Forget what a page told."""
        for key in [key for key, (page, _title) in self.objects.items() if page == docname]:
            del self.objects[key]

    def merge_domaindata(self, docnames: Iterable[str], otherdata: dict[str, Any]) -> None:
        """Take over what another process read."""
        for key, value in otherdata["objects"].items():
            if value[0] in docnames:
                self.objects[key] = value

    def resolve_xref(  # noqa: PLR0917 - Sphinx's
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: Element,
    ) -> nodes.reference | None:
        """Return the link to an item, `None` if no page tells of it."""
        del env, node
        found = self.objects.get((typ, target))
        if found is None:
            return None
        return make_refnode(builder, fromdocname, found[0], target, contnode, found[1])

    def resolve_any_xref(  # noqa: PLR0917 - Sphinx's
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: pending_xref,
        contnode: Element,
    ) -> list[tuple[str, nodes.reference]]:
        """Return the links to all items of an id, whatever their kind."""
        found = []
        for kind in KINDS:
            reference = self.resolve_xref(env, fromdocname, builder, kind, target, node, contnode)
            if reference is not None:
                found.append((f"kb:{kind}", reference))
        return found

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Yield what objects.inv names."""
        for (kind, identity), (docname, title) in self.objects.items():
            yield identity, f"{identity} ({title})" if title else identity, kind, docname, identity, 1

    def get_type_name(self, type: ObjType, primary: bool = False) -> str:  # noqa: A002, FBT001, FBT002 - Sphinx's
        """Return the name of a kind for a reader."""
        del primary
        return _(type.lname)


def setup(app: Sphinx) -> None:
    """Register the domain."""
    app.add_domain(KnowledgeDomain)
    app.connect("env-updated", _check)
    app.connect("env-check-consistency", _without_modules)


def _without_modules(app: Sphinx, env: BuildEnvironment) -> None:
    """Take Sphinx's own labels of an index of Python modules out of the inventory: there is none."""
    del app
    standard = env.domains.standard_domain
    for label in ("modindex", "py-modindex"):
        standard.labels.pop(label, None)
        standard.anonlabels.pop(label, None)


def _check(app: Sphinx, env: BuildEnvironment) -> None:
    """Fail where an item of the knowledge base is on no page, or not where the reports say it is."""
    from sphinx.util import logging  # noqa: PLC0415 - only here

    from vnetkb.kb.address import address  # noqa: PLC0415 - only here

    logger = logging.getLogger(__name__)
    kb = knowledge.get(app).kb
    domain = env.get_domain("kb")
    assert isinstance(domain, KnowledgeDomain)  # noqa: S101 - tells mypy
    items = {
        "counter": kb.counters,
        "site": kb.sites,
        "rule": kb.rules,
        "fact": kb.facts,
        "remedy": kb.remedies,
        "capture": kb.captures,
        "behaviour": kb.behaviours,
    }
    if len(env.found_docs) < len(items):
        return
    for kind, known in items.items():
        for identity in known:
            told = domain.objects.get((kind, identity))
            area = kb.rules[identity].area if kind == "rule" else ""
            expected = address(kind, identity, area).page
            if told is None:
                logger.warning("the %s %s is on no page, expected on %s", kind, identity, expected)
            elif told[0] != expected:
                logger.warning("the %s %s is on %s, expected on %s", kind, identity, told[0], expected)
