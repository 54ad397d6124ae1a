# SPDX-License-Identifier: Apache-2.0
"""The lookup pages: a field that a tool prints, and which counter it is."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from docutils import nodes

from vnetkb_docs import titles
from vnetkb_docs.pages import KbPage, page, toctree
from vnetkb_docs.text import badge, bullets, inline, paragraph, reference, section, table
from vnetkb_docs.words import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx

    from vnetkb.kb.reference import Counter, ToolName
    from vnetkb_docs.knowledge import Knowledge
    from vnetkb_docs.pages import Page
    from vnetkb_docs.text import Rows

# The first that matches the beginning of a tool's name takes it.
FAMILIES = (
    ("ip", r"ip |bridge "),
    ("proc-net-dev", r"/proc/net/dev$|netstat -i$|ifconfig$|sar "),
    ("sysfs", r"sysfs$|sysctl$|/proc/net/bonding"),
    ("softnet", r"/proc/net/softnet_stat$"),
    ("ethtool", r"ethtool "),
    ("tc", r"tc "),
    ("open-vswitch", r"ovs-"),
    ("protocols", r"netstat -s$|nstat$|/proc/net/|ss |conntrack "),
    ("virsh", r"virsh |libvirt|qemu "),
    ("windows", r"netstat -e$|netsh |Get-Net|WMI |\.NET |IP Helper|NDIS |Windows "),
    (
        "monitoring",
        r"node_exporter|windows_exporter|telegraf|collectd|Zabbix|cAdvisor|netdata|psutil|OpenStack|SNMP ",
    ),
    ("netlink", r"netlink |skb:|kernel log"),
)
OTHER = "other"


def family(tool: str) -> str:
    """Return the page that a tool is on."""
    return next((name for name, pattern in FAMILIES if re.match(pattern, tool)), OTHER)


def title(name: str) -> str:
    """Return the title of a page."""
    return {
        "ip": _("ip -s link, bridge"),
        "proc-net-dev": _("/proc/net/dev, netstat -i, ifconfig, sar"),
        "sysfs": _("/sys/class/net and sysctl"),
        "softnet": _("/proc/net/softnet_stat"),
        "ethtool": _("ethtool -S"),
        "tc": _("tc -s qdisc, class, filter"),
        "open-vswitch": _("Open vSwitch: ovs-vsctl, ovs-ofctl, ovs-appctl"),
        "protocols": _("netstat -s, nstat, /proc/net/snmp, ss, conntrack"),
        "virsh": _("virsh and the guest agent"),
        "windows": _("Windows: netstat -e, Get-NetAdapterStatistics, WMI"),
        "monitoring": _("Monitoring: node_exporter, SNMP, Zabbix and others"),
        "netlink": _("Netlink, trace events, kernel log"),
        OTHER: _("Other tools"),
    }[name]


def slug(tool: str) -> str:
    """Return the anchor of a tool on its page."""
    return "tool-" + re.sub(r"[^a-z0-9]+", "-", tool.lower()).strip("-")


def families(know: Knowledge) -> dict[str, list[str]]:
    """Return the pages in order, with their tools, those with the most names first."""
    found: dict[str, list[str]] = {}
    for name in (*(each for each, _pattern in FAMILIES), OTHER):
        tools = [tool for tool in know.names if family(tool) == name]
        if tools:
            found[name] = sorted(tools, key=lambda tool: (-len(know.names[tool]), tool))
    return found


def tools_page(page_: Page, name: str) -> list[nodes.Node]:
    """Return a family of tools with their fields."""
    tools = families(page_.know)[name]
    made = [_tool(page_, each) for each in tools]
    intro = paragraph(
        _(
            "Find the field as the tool prints it; the counter beside it tells "
            "what it means and which code moves it."
        )
    )
    return page(title(name), f"tools-{name}", intro, *made)


def _tool(page_: Page, tool: str) -> nodes.section:
    by_field: dict[str, list[tuple[ToolName, Counter]]] = defaultdict(list)
    for name, counter in page_.know.names[tool]:
        by_field[name.name].append((name, counter))
    rows: Rows = [
        [[nodes.literal("", field)], _meanings(pairs, page_.know)] for field, pairs in by_field.items()
    ]
    made = section(slug(tool), [nodes.Text(tool)], table([_("field"), _("counter")], rows, [2, 5]))
    made["kb-kind"], made["kb-title"], made["kb-names"] = "tool", "", []
    return made


def _meanings(pairs: Sequence[tuple[ToolName, Counter]], know: Knowledge) -> list[nodes.Node]:
    order = titles.ordered_layers({counter.kind for _name, counter in pairs})
    items = []
    for name, counter in sorted(pairs, key=lambda pair: order.index(pair[1].kind)):
        item: list[nodes.Node] = [
            reference("counter", counter.id),
            nodes.Text(": "),
            *inline(counter.title, know),
        ]
        if name.swapped:
            item += [nodes.Text(" "), badge(_("other direction"), "swapped")]
        if name.doc:
            item += [nodes.Text(" "), nodes.inline("", "", *inline(name.doc, know), classes=["kb-note"])]
        items.append(item)
    return [bullets(items, classes=["kb-compact"])]


def tools_index(page_: Page, _name: str) -> list[nodes.Node]:
    """Return the list of all tools."""
    made: list[nodes.Node] = [
        paragraph(_("“I see this field in …”: choose the tool whose output you look at.")),
    ]
    for name, tools in families(page_.know).items():
        links = [
            nodes.reference(
                "", "", nodes.literal("", tool), refuri=f"{name}.html#{slug(tool)}", internal=True
            )
            for tool in tools
        ]
        made += [nodes.rubric("", title(name)), bullets([[link] for link in links], classes=["kb-columns"])]
    made.append(toctree("tools", families(page_.know)))
    return page(_("Lookup by tool"), "tools", *made)


def setup(app: Sphinx) -> None:
    """Register the makers."""
    del app
    KbPage.makers["tools"] = tools_page
    KbPage.makers["tools-index"] = tools_index
