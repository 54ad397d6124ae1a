# SPDX-License-Identifier: Apache-2.0
"""What each kind of capture says about people and sites: where names stand, and what is masked or cut there.

Two passes over every capture: :func:`harvest` learns the names, :func:`mask` replaces them. Where a place
holds a name by its meaning (a cgroup, a process, an external id) everything that is no common word is masked
there, known or not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vnetkb.privacy.flows import mask_flows
from vnetkb.privacy.logs import (
    devices_in_kernel_log,
    devices_in_message,
    devices_in_switch_log,
    mask_kernel_log,
    mask_switch_log,
    ports_in_flows,
)
from vnetkb.privacy.pseudonyms import parse_ipv6
from vnetkb.privacy.text import is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vnetkb.privacy.pseudonyms import Pseudonyms
    from vnetkb.privacy.text import Masker

_LINK = re.compile(r"[0-9]+: ([^ ]++)(?<=:) <")
_JSON_NAMES = re.compile(
    r'"(?:ifname|master|dev|link|parentdev_name)": ?"((?:[^"\\]|\\.)*)"'
    r'|"altnames": ?\[((?:[\s,]*+"(?:[^"\\]|\\.)*+")*+)\s*+\]'
)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_LISTED = re.compile(
    r" *+(?:-|[0-9]++) ++(.*?)(?<! ) ++"
    r"(?:no state|running|idle|paused|in shutdown|shut off|crashed|pmsuspended) *"
)
_SCOPE = re.compile(r"machine-(?:qemu|lxc)\\x2d[0-9]+\\x2d(.*)\.scope")
_MACHINE = re.compile(r"(?:qemu-[0-9]+-)?(.+)\.libvirt-(?:qemu|lxc)")
_SUFFIX = re.compile(r"\.(?:scope|slice|service|mount|socket|partition)$")
_PLAIN_VALUE = re.compile(r"(?:[0-9][0-9.:]*|0x[0-9a-fA-F]+|on|off|yes|no|true|false|)")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9a-z]+)*")
_THREAD = re.compile(r"[0-9]+ \(")
_NUMBERS = re.compile("[A-Za-z][ 0-9-]*")
_TRACED = re.compile(r"-[0-9]++ ++(?:\([ 0-9-]++\) ++)?\[[0-9]++\]")
_CONNECTION = re.compile(r'"(?:name|Name|NetConnectionID)" *: *"((?:[^"\\]|\\.)*)"')
_SWITCH_NAME = re.compile(
    r"(?:@ | *(?:Port|Interface|Bridge|Mirror|port [0-9]+:|port) +\"?)(?:[a-z]+@)?([^\"(: ]+)"
)
_XML_NAME = re.compile(r" *<name>(.*)</name>")
_ATTRIBUTE = re.compile(r"(?<![A-Za-z_])([A-Za-z_]++)='([^']*)'")
_FREE_ATTRIBUTES = frozenset(
    [
        "type",
        "id",
        "unit",
        "placement",
        "average",
        "peak",
        "burst",
        "floor",
        "size",
        "queues",
        "rx_queue_size",
        "tx_queue_size",
        "rss_hash_report",
        "iommu",
        "ats",
        "packed",
        "event_idx",
        "txmode",
        "ioeventfd",
        "csum",
        "gso",
        "tso4",
        "tso6",
        "ecn",
        "ufo",
        "mrg_rxbuf",
        "model",
        "domain",
        "bus",
        "slot",
        "function",
        "multifunction",
        "state",
        "order",
        "mode",
        "port",
        "trunk",
        "tag",
        "nativeMode",
        "fallback",
    ]
)
_DEVICE_ATTRIBUTES = frozenset(("dev", "bridge", "tap"))
_ETHTOOL_HEAD = re.compile(r"((?:Features|Channel parameters) for )(.*):$")
_HOME = re.compile(r"(/(?:home|Users|export/home|var/home)/)([^/ :\"',]+)")
_MAIL = re.compile(r"[0-9A-Za-z._+-]++(@[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)++)?")  # one look at each run
_PEER = re.compile(
    r"((?<![0-9A-Za-z_])p?(?:tcp|ssl):(?:[0-9]+:)?|(?:remote|local)_ip=\"?)"
    r"([0-9A-Za-z](?:[0-9A-Za-z_.-]*[0-9A-Za-z])?)"
)
_SOCKET = re.compile(r"((?<![0-9A-Za-z_])p?unix:)([^ \"',]+)")
_WORD = re.compile(r"[^ \"'(),;=<>\[\]{}]+")
_PSEUDONYM = re.compile("masked[a-z]+[0-9]+")
_ERROR = re.compile(r" *error: ")
_VERSION_HEAD = re.compile(r"(Linux version )([^ ]+)")
_BUILDER = re.compile(r" \([^ ()]*@[^ ()]*\)")
_EDIT = re.compile(r"at ((?:[a-z0-9]+\+)?)(-?[0-9]+): ([a-z]+) ([0-9a-f]{8}) mask ([0-9a-f]{8})")
_ADDRESSES = {"eth+": (-4, 12), "ipv4+": (8, 20), "ipv6+": (4, 40), "ip6+": (4, 40), "": (4, 40)}
_OF_NETWORK = ("12", "16")
_WORDS = re.compile(r"match ([0-9a-f]{8})/([0-9a-f]{8}) at (-?[0-9]+)")
_PROGRAM = re.compile(r"(?<![^ ])([^ :]+):\[([^] ]+)\]")
_PROGRAM_NAME = re.compile(r" name ([^ ]+) tag ")
_COOKIE = re.compile(r"(cookie )([0-9a-f]+)")
_LETTER = re.compile("[A-Za-z]")
_NO_ADDRESS = re.compile("[.G-Zg-z]")  # what is all hex is of an IPv6 address
_LINE = "\n"
_NO_WORD = "00000000"
_KNOWN_WORDS = frozenset((_NO_WORD, "7f000001", "ffffffff"))
_LINK_TEXTS = frozenset(("group", "link_netns", "name"))  # the last of an XDP program
_LINK_TEXT = re.compile(r" (group|link-netns|name) ([^ ]+)")
_WINDOWS_NAMES = frozenset(("Name", "NetConnectionID"))
_WINDOWS_MACS = frozenset(("Mac", "MACAddress", "NetworkAddress"))
_JSON_SERIALS = frozenset(("phys_port_id", "phys_switch_id", "phys_port_name"))


class Context:
    """What masking of a capture works with."""

    def __init__(self, masker: Masker) -> None:
        """Mask by this masker and its pseudonyms."""
        self.masker = masker
        self.pseudonyms: Pseudonyms = masker.pseudonyms
        self._machines: dict[str, str] = {}
        self._rows_read = 0

    def name(self, kind: str, original: str) -> str:
        """Return the pseudonym of a name."""
        return self.pseudonyms.name(kind, original)

    def text(self, text: str) -> str:
        """Return free text, masked, homes and mail addresses included."""
        text = _HOME.sub(lambda found: found[1] + self.name("user", found[2]), text)
        if "unix:" in text:
            text = _SOCKET.sub(lambda found: found[1] + self.path(found[2], "text"), text)
        if "@" in text:
            text = _MAIL.sub(lambda found: "maskeduser@maskeddomain" if found[1] else found[0], text)
        return self.masker.text(_PEER.sub(lambda found: found[1] + self.peer(found[2]), text))

    def version(self, text: str) -> str:
        """Return the version of software, without names and mail addresses."""
        text = _MAIL.sub(lambda found: "maskeduser@maskeddomain" if found[1] else found[0], text)
        return self.masker.names(text)

    def peer(self, name: str) -> str:
        """Return the pseudonym of a host that something connects to by name, its domains learned with it."""
        if not (_LETTER.search(name) and _NO_ADDRESS.search(name)):
            return name
        shown = self.name("domain", name)
        _, dot, domain = name.partition(".")
        if dot:
            for part in (domain, *name.split(".")[:-1]):
                self.name("domain", part)
        return shown

    def value(self, kind: str, text: str) -> str:
        """Return a value, masked whole unless it is a number, common words or an address by itself."""
        if _PLAIN_VALUE.fullmatch(text) or self.pseudonyms.kept.plain(text) or is_address(text):
            return self.text(text)
        return self.name(kind, text)

    def words(self, text: str, kept: frozenset[str] = frozenset()) -> str:
        """Return a text of somebody's own with every word masked that is no common one nor among `kept`."""

        def word(found: re.Match[str]) -> str:
            core = found[0].rstrip(".:")
            stays = core in kept or _PSEUDONYM.fullmatch(core)
            return (core if stays else self.value("text", core)) + found[0][len(core) :]

        return _WORD.sub(word, self.masker.odd_text(text))

    def path(self, path: str, kind: str = "cgroup") -> str:
        """Return a path, else of a cgroup, with every part masked that is no common word."""
        return "/".join(self._part(part, kind) for part in path.split("/"))

    def _part(self, part: str, kind: str) -> str:
        scope = _SCOPE.fullmatch(part)
        if scope is not None:
            name = _unescaped(scope[1])
            return part[: scope.start(1)] + self.machine(name) + ".scope"
        machine = _MACHINE.fullmatch(part)
        if machine is not None:
            return part[: machine.start(1)] + self.machine(machine[1]) + part[machine.end(1) :]
        suffix = _SUFFIX.search(part)
        stem, end = (part[: suffix.start()], suffix[0]) if suffix is not None else (part, "")
        return (stem if self.pseudonyms.kept.plain(stem) else self.name(kind, stem)) + end

    def machine(self, written: str) -> str:
        """Return the pseudonym of the VM that libvirt writes so in a cgroup: letters, digits, - and dots."""
        for kind, _, original in self.pseudonyms.rows[self._rows_read :]:
            if kind == "vm":
                self._machines.setdefault(re.sub(r"[^0-9A-Za-z.-]", "", original)[:64], original)
        self._rows_read = len(self.pseudonyms.rows)
        return self.name("vm", self._machines.get(written, written))


def _unescaped(text: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)


def capture_id(member: str) -> str:
    """Return the id of the capture that a member of the archive holds."""
    return member.rpartition("/")[2].removeprefix("guest-")  # the same text has the same form in a guest


def harvest(member: str, text: str, context: Context) -> None:
    """Learn the names of interfaces and VMs from a capture."""
    identity = capture_id(member)
    if identity.startswith("ovs-"):
        for found in _PEER.finditer(text):
            context.peer(found[2])
    if _is_table(identity, text):
        _learn_table(text, context)
        return
    log = _LOGS.get(identity)
    if log is not None:
        for name in log(text, context.pseudonyms.kept.log_words):
            context.name("interface", name)
        return
    reader = _HARVEST.get(identity)
    if reader is not None:
        names = reader(text)
    elif identity.startswith("ovs-"):
        names = _switch(text, context.pseudonyms.kept.log_words)
    else:
        return
    for kind, name in names:
        if name and name != "-":
            context.name(kind, name)


def _is_table(identity: str, text: str) -> bool:
    return identity.startswith("ovs-") and identity not in _MASK and text.lstrip().startswith("{")


def _learn_table(text: str, context: Context) -> None:
    pieces = _pieces(text)
    for at in range(1, len(pieces), 2):
        if not pieces[at + 1].lstrip().startswith(":"):
            _table_string(pieces, at, context)


def _pieces(text: str) -> list[str]:
    """Return a JSON text in pieces, every second one a string in its quotes: one without an end gets one."""
    pieces: list[str] = []
    end = 0
    for found in _QUOTED.finditer(text):
        pieces += (text[end : found.start()], found[0] if found[1] else found[0] + '"')
        end = found.end()
    return [*pieces, text[end:]]


def _switch(text: str, words: frozenset[str]) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        error = _ERROR.match(line)
        found = _SWITCH_NAME.match(line)
        if error is not None:
            yield from (("interface", name) for name in devices_in_message(line[error.end() :], words))
        elif found is not None and not found[1].isdigit():
            yield "interface", found[1]


def _sysfs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        name, slash, _ = line.partition("/")
        if slash:
            yield "interface", name


def _net_dev(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        head, *rest = line.split() or [""]
        if head.endswith(":") and rest:
            yield "interface", head[:-1]


def _ip_link(text: str) -> Iterator[tuple[str, str]]:
    for found in _JSON_NAMES.finditer(text):
        if found[1] is not None:
            yield "interface", _plain_json(found[1])
        for name in _STRING.finditer(found[2] or ""):
            yield "interface", _plain_json(name[1])


def _of_guest(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        if line.startswith("host="):
            yield "host", line[5:]


def _windows(text: str) -> Iterator[tuple[str, str]]:
    for found in _CONNECTION.finditer(text):
        if not _PLAIN_VALUE.fullmatch(found[1]) and not is_address(found[1]):
            yield "interface", found[1]


def _ip_text(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        found = _LINK.match(line)
        if found is not None:
            name = found[1][:-1]
            at = name.find("@", max(name.rfind(":") + 1, 1))
            yield from (
                ("interface", name[:at] if at > 0 else name),
                ("interface", name[at + 1 :] if at > 0 else ""),
            )
        elif line.startswith("    altname "):
            yield "interface", line[12:].strip()


def _fdinfo(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        yield "interface", line.partition(":iff:")[2].strip()


def _domstats(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        if line.startswith("Domain: '") and line.endswith("'"):
            yield "vm", line[9:-1]
        elif line.startswith("  net.") and ".name=" in line:
            yield "interface", line.partition(".name=")[2]


def _listed(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        found = _LISTED.fullmatch(line)
        if found is not None:
            yield "vm", found[1]


def _domiflist(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        words = line.split()
        if len(words) >= 5 and words[-1].count(":") == 5:  # noqa: PLR2004  # five columns, the last a MAC address
            yield "interface", words[0]
            yield "network", " ".join(words[2:-2])


def _dumpxml(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        found = _XML_NAME.fullmatch(line)
        if found is not None:
            yield "vm", _plain_xml(found[1])
        for attribute in _ATTRIBUTE.finditer(line):
            if attribute[1] in _DEVICE_ATTRIBUTES and ("<target " in line or "<source " in line):
                yield "interface", _plain_xml(attribute[2])
            if attribute[1] == "network" and "<source " in line:
                yield "network", _plain_xml(attribute[2])


def _cmdline(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split(_LINE):
        _, _, argument = line.partition("\t")
        if argument.startswith("-name "):
            for number, part in enumerate(argument[6:].split(",")):
                key, equals, value = part.partition("=")
                if (not equals and number == 0) or key in {"guest", "process"}:
                    yield "vm", value if equals else part
        for found in re.finditer(r'(?:ifname=|"ifname":")([^,"]*)', argument):
            yield "interface", found[1]


_LOGS: dict[str, Callable[[str, frozenset[str]], Iterator[str]]] = {
    "kernel-log": devices_in_kernel_log,
    "ovs-log": devices_in_switch_log,
    "ovs-dump-flows": ports_in_flows,
    "ovs-datapath-flows": ports_in_flows,
}
_HARVEST: dict[str, Callable[[str], Iterator[tuple[str, str]]]] = {
    "sysfs-net": _sysfs,
    "proc-net-dev": _net_dev,
    "ip-link": _ip_link,
    "tc-qdisc": _ip_link,
    "bridge-link": _ip_link,
    "agent-interfaces": _windows,
    "manifest": _of_guest,
    "win-counters": _windows,
    "win-adapters": _windows,
    "ip-link-text": _ip_text,
    "tun-fdinfo": _fdinfo,
    "virsh-domstats": _domstats,
    "virsh-list": _listed,
    "virsh-domiflist": _domiflist,
    "virsh-dumpxml": _dumpxml,
    "proc-cmdline": _cmdline,
}


def mask(member: str, text: str, context: Context) -> str:
    """Return the text of a capture, masked."""
    name = capture_id(member)
    if name in context.pseudonyms.kept.verbatim:
        return text
    special = _MASK.get(name)
    if special is not None:
        return special(text, context)
    if text.lstrip()[:1] in {"[", "{"}:
        return _json(text, context, name, tables=_is_table(name, text))
    return _each_line(text, context.text)


def _each_line(text: str, replace: Callable[[str], str]) -> str:
    return _LINE.join(replace(line) for line in text.split(_LINE))


def _json(text: str, context: Context, identity: str, *, tables: bool) -> str:
    """Mask every string of a JSON text by what it stands beside."""
    pieces = _pieces(text)
    key = ""
    for at in range(1, len(pieces), 2):
        string = pieces[at][1:-1]
        if pieces[at + 1].lstrip().startswith(":"):
            key = string
        elif key == "ifalias":
            pieces[at] = f'"{context.name("text", string) if string else ""}"'
        elif key in _LINK_TEXTS and identity == "ip-link":
            pieces[at] = f'"{context.value("text", string)}"'
        elif key in _JSON_SERIALS:
            pieces[at] = f'"{context.value("serial", string)}"'
        elif key in _WINDOWS_NAMES:
            pieces[at] = f'"{context.value("interface", string)}"'
        elif key in _WINDOWS_MACS and re.fullmatch("[0-9A-Fa-f]{12}", string):
            pieces[at] = f'"{context.pseudonyms.mac(string.lower()).upper()}"'
        elif tables:
            pieces[at] = f'"{_table_string(pieces, at, context)}"'
        else:
            pieces[at] = f'"{_string(string, context)}"'
    return "".join(pieces)


def _string(string: str, context: Context) -> str:
    known = context.pseudonyms.forms.get(_plain_json(string))
    return known if known is not None else context.text(string)


def _table_string(pieces: list[str], at: int, context: Context) -> str:
    """Mask a string of `ovs-vsctl --format=json`: a pair of a map, a name, a state or a message."""
    string = pieces[at][1:-1]
    before, after = pieces[at - 1].strip(), pieces[at + 1].strip()
    if after == "," and before.endswith("[") and _closes(pieces, at + 3):
        return string if string == "uuid" else context.value("id", string)
    if before == "," and _opens(pieces, at - 3) and after.startswith("]"):
        key = pieces[at - 2][1:-1]
        return string if key in context.pseudonyms.kept.keys else context.value("id", string)
    if " " in string:
        for name in devices_in_message(string, context.pseudonyms.kept.log_words):
            context.name("interface", name)
        return context.words(string)
    if _VERSION.fullmatch(string) and len(string) < 16:  # noqa: PLR2004  # a datapath id has 16 digits
        return context.text(string) if string.count(".") == 3 else string  # noqa: PLR2004  # an address
    digits = string.lower()
    if re.fullmatch("[0-9a-f]{16}", digits):
        return digits[:4] + context.pseudonyms.mac(digits[4:])
    return context.value("interface", string)


def _closes(pieces: list[str], at: int) -> bool:
    return at < len(pieces) and pieces[at].lstrip().startswith("]")


def _opens(pieces: list[str], at: int) -> bool:
    return at >= 0 and pieces[at].rstrip().endswith("[")


def _mask_sysfs(text: str, context: Context) -> str:
    def line(row: str) -> str:
        name, slash, rest = row.partition("/")
        if not slash:
            return context.text(row)
        shown = context.name("interface", name)
        if rest.startswith("statistics/"):
            return f"{shown}/{rest}"
        attribute, _, value = rest.partition(":")
        if attribute == "ifalias" and value:
            value = context.name("text", value)
        return f"{shown}/{attribute}:{context.text(value)}"

    return _each_line(text, line)


def _mask_net_dev(text: str, context: Context) -> str:
    def line(row: str) -> str:
        head, *rest = row.split() or [""]
        if not head.endswith(":") or not rest:
            return context.text(row)
        at = row.index(head)
        return row[:at] + context.name("interface", head[:-1]) + ":" + row[at + len(head) :]

    return _each_line(text, line)


def _mask_ip_text(text: str, context: Context) -> str:
    def line(row: str) -> str:
        if row.startswith("    alias "):
            return "    alias " + context.name("text", row[10:])
        return context.text(_LINK_TEXT.sub(named, row))

    def named(found: re.Match[str]) -> str:
        if _PLAIN_VALUE.fullmatch(found[2]) or is_address(found[2]):
            return found[0]
        return f" {found[1]} {context.name('text', found[2])}"

    return _each_line(text, line)


def _mask_status(text: str, context: Context) -> str:
    def line(row: str) -> str:
        head, mark, name = row.partition("/status:Name:\t")
        return head + mark + context.name("process", name) if mark else row

    return _each_line(text, line)


def _mask_stat(text: str, context: Context) -> str:
    """Mask threads' names, which the kernel prints as they are: with a line feed in it, one has two lines."""

    def line(row: str) -> str:
        head, mark, rest = row.partition("/stat:")
        if not mark:
            return context.text(row)
        number = _THREAD.match(rest)
        start, end = number.end() if number is not None else 0, rest.rfind(") ")
        if end < start or not _NUMBERS.fullmatch(rest, end + 2):
            end = len(rest)
        name = rest[start:end]
        return head + mark + rest[:start] + (context.name("process", name) if name else "") + rest[end:]

    return _each_line(text, line)


def _mask_task_cgroup(text: str, context: Context) -> str:
    def line(row: str) -> str:
        head, mark, rest = row.partition("/cgroup:")
        if not mark:
            return context.text(row)
        number, controllers, path = [*rest.split(":", 2), "", ""][:3]
        return f"{head}{mark}{number}:{controllers}:{context.path(path)}"

    return _each_line(text, line)


def _mask_cgroup_cpu(text: str, context: Context) -> str:
    def line(row: str) -> str:
        path, mark, rest = row.partition(":")
        if not mark:
            return row
        folder, _, file = path.rpartition("/")
        top, fs, below = folder.partition("/fs/cgroup")
        return f"{top}{fs}{context.path(below)}/{file}:{rest}"

    return _each_line(text, line)


def _mask_cmdline(text: str, context: Context) -> str:
    def line(row: str) -> str:
        pid, tab, argument = row.partition("\t")
        if not tab:
            return context.text(row)
        option, _, value = argument.partition(" ")
        if not option.startswith("-"):
            return f"{pid}\t{_program(argument, context)}"
        if option == "-name":
            value = ",".join(
                _vm_argument(number, part, context) for number, part in enumerate(value.split(","))
            )
        elif value.startswith("{"):
            value = _json_argument(value, context)
        else:
            value = ",".join(_argument(part, context) for part in value.split(","))
        return f"{pid}\t{option} {value}"

    return _each_line(text, line)


def _program(path: str, context: Context) -> str:
    folder, slash, base = path.rpartition("/")
    shown = (
        base if re.fullmatch(r"qemu-(?:system-[a-z0-9_]+|kvm)|kvm", base) else context.name("process", base)
    )
    if folder and not re.fullmatch(r"/(?:usr/)?(?:local/)?(?:s?bin|libexec)", folder):
        folder = "/masked"
    return folder + slash + shown


def _vm_argument(number: int, part: str, context: Context) -> str:
    key, equals, value = part.partition("=")
    if equals:
        return (
            f"{key}={context.name('vm', value)}" if key in {"guest", "process"} else _argument(part, context)
        )
    return context.name("vm", part) if number == 0 else context.value("id", part)


def _argument(part: str, context: Context) -> str:
    key, equals, value = part.partition("=")
    if not equals:
        return context.value("id", part)
    return f"{context.value('id', key)}={context.value('interface' if key == 'ifname' else 'id', value)}"


def _json_argument(text: str, context: Context) -> str:
    pieces = _pieces(text)
    for at in range(1, len(pieces), 2):
        pieces[at] = f'"{context.value("id", pieces[at][1:-1])}"'
    return "".join(pieces)


def _mask_dumpxml(text: str, context: Context) -> str:
    """Keep of each domain its name, UUID and network interfaces; all else says nothing about loss."""
    kept: list[str] = []
    inside = False
    for row in text.split(_LINE):
        name = _XML_NAME.fullmatch(row)
        if row.startswith(("<domain", "</domain")) or row.strip() in {"<devices>", "</devices>"}:
            kept.append(_attributes(row, context))
        elif name is not None and not inside:
            kept.append(row[: name.start(1)] + context.name("vm", _plain_xml(name[1])) + "</name>")
        elif re.match(r" *<(?:uuid|vcpu)\b", row):
            kept.append(context.text(row))
        elif "<interface " in row or inside:
            inside = "</interface>" not in row
            kept.append(_attributes(row, context))
        elif row == "":
            kept.append(row)
    return _LINE.join(kept)


def _attributes(row: str, context: Context) -> str:
    masked = _ATTRIBUTE.sub(lambda found: f"{found[1]}='{_attribute(found[1], found[2], context)}'", row)
    end = masked.rfind("<") + 1
    return (
        re.sub(r">([^<]+)<", lambda found: f">{context.value('id', found[1])}<", masked[:end]) + masked[end:]
    )


def _attribute(key: str, value: str, context: Context) -> str:
    if key in _FREE_ATTRIBUTES:
        return context.text(value)
    kind = "interface" if key in _DEVICE_ATTRIBUTES else "network" if key == "network" else "id"
    if value.startswith("/dev/"):
        return value
    known = context.pseudonyms.forms.get(_plain_xml(value))
    return known if known is not None else context.value(kind, value)


def _mask_list(text: str, context: Context) -> str:
    def line(row: str) -> str:
        found = _LISTED.fullmatch(row)
        if found is None:
            return context.text(row)
        return row[: found.start(1)] + context.name("vm", found[1]) + row[found.end(1) :]

    return _each_line(text, line)


def _mask_domstats(text: str, context: Context) -> str:
    def line(row: str) -> str:
        if row.startswith("Domain: '") and row.endswith("'"):
            return f"Domain: '{context.name('vm', row[9:-1])}'"
        head, mark, name = row.partition(".name=")
        return head + mark + context.name("interface", name) if mark else context.text(row)

    return _each_line(text, line)


def _mask_domiflist(text: str, context: Context) -> str:
    def line(row: str) -> str:
        words = row.split()
        if len(words) < 5 or words[-1].count(":") != 5:  # noqa: PLR2004  # as in the harvest
            return context.text(row)
        target = words[0] if words[0] == "-" else context.name("interface", words[0])
        source = " ".join(words[2:-2])
        shown = source if source == "-" else context.name("network", source)
        return f" {target}   {words[1]}   {shown}   {words[-2]}   {context.text(words[-1])}"

    return _each_line(text, line)


def _mask_trace(text: str, context: Context) -> str:
    def line(row: str) -> str:
        found = None if row.startswith(("#", "@")) else _TRACED.search(row)
        if found is None:
            return context.text(row)
        head, rest = row[: found.start()], row[found.start() :]
        if "dev=" in rest:
            rest = context.text(rest)
        name = head.lstrip(" ")
        return head[: len(head) - len(name)] + (context.name("process", name) if name else "") + rest

    return _each_line(text, line)


def _mask_os_release(text: str, context: Context) -> str:
    keys = context.pseudonyms.kept.os_release
    return "".join(f"{line}\n" for line in text.split(_LINE) if line.partition("=")[0] in keys)


def _mask_version(text: str, context: Context) -> str:
    """Mask who built the kernel, and all words but those of compilers and distributions."""

    def line(row: str) -> str:
        head = _VERSION_HEAD.match(row)
        start, release = (0, "") if head is None else (head.end(), head[1] + context.version(head[2]))
        before, mark, after = _BUILDER.sub("\n", row[start:], count=1).partition(_LINE)
        builder = " (maskeduser@maskedhost)" if mark else ""
        return release + context.words(before, kept) + builder + context.words(after, kept)

    kept = context.pseudonyms.kept.version_words
    return _each_line(text, line)


def _mask_show(text: str, context: Context) -> str:
    def line(row: str) -> str:
        error = _ERROR.match(row)
        return context.text(row) if error is None else error[0] + context.words(row[error.end() :])

    return _each_line(text, line)


def _mask_ethtool(text: str, context: Context) -> str:
    def line(row: str) -> str:
        if row.startswith("@ "):
            return "@ " + context.name("interface", row[2:])
        found = _ETHTOOL_HEAD.match(row)
        return row if found is None else found[1] + context.name("interface", found[2]) + ":"

    return _each_line(text, line)


def _mask_ethtool_i(text: str, context: Context) -> str:
    def line(row: str) -> str:
        if row.startswith("@ "):
            return "@ " + context.name("interface", row[2:])
        version = re.match(r"(?:firmware-)?version: ", row)
        if version is not None:
            return version[0] + context.version(row[version.end() :])
        return row if re.match(r"(?:driver|supports-[a-z-]+|bus-info): ", row) else context.text(row)

    return _each_line(text, line)


def _mask_filter(text: str, context: Context) -> str:
    def words(found: re.Match[str]) -> str:
        if not int(found[2], 16):
            return found[0]
        masked = _word(found[1], context) if found[3] in _OF_NETWORK else _NO_WORD
        return f"match {masked}/{found[2]} at {found[3]}"

    def edit(found: re.Match[str]) -> str:
        header, offset, what, value, bits = found.groups()
        first, end = _ADDRESSES.get(header, (0, 0))
        whole = bits == _NO_WORD and offset in _OF_NETWORK
        link_layer = not header and int(offset) < 0
        if link_layer or first < int(offset) < end:
            value = _word(value, context) if whole and header in {"", "ipv4+"} else _NO_WORD
        return f"at {header}{offset}: {what} {value} mask {bits}"

    def program(found: re.Match[str]) -> str:
        return f"{context.name('text', found[1])}:[{context.name('text', found[2])}]"

    def line(row: str) -> str:
        row = _PROGRAM.sub(program, _EDIT.sub(edit, _WORDS.sub(words, row)))
        row = _PROGRAM_NAME.sub(lambda found: f" name {context.name('text', found[1])} tag ", row)
        return context.text(_COOKIE.sub(lambda found: found[1] + "0" * len(found[2]), row))

    return _each_line(text, line)


def _word(digits: str, context: Context) -> str:
    """Return four bytes where an IPv4 address stands, masked; of IPv6 they may begin with zeros."""
    if digits in _KNOWN_WORDS:
        return digits
    address = ".".join(str(int(digits[at : at + 2], 16)) for at in range(0, 8, 2))
    masked = "".join(f"{int(octet):02x}" for octet in context.pseudonyms.ipv4(address).split("."))
    return _NO_WORD if masked == digits else masked


def _mask_sockets(text: str, context: Context) -> str:
    """Mask socket tables of /proc/net: addresses in hex, each four bytes in the order of the CPU."""

    def address(found: re.Match[str]) -> str:
        digits = _turned(found[1]).lower()
        if not int(digits, 16) or int(digits, 16) == 1:
            return found[0]
        if len(digits) == 8:  # noqa: PLR2004  # IPv4
            dotted = ".".join(str(int(digits[at : at + 2], 16)) for at in range(0, 8, 2))
            masked = "".join(f"{int(octet):02x}" for octet in context.pseudonyms.ipv4(dotted).split("."))
        else:
            groups = [int(digits[at : at + 4], 16) for at in range(0, 32, 4)]
            masked = "".join(f"{group:04x}" for group in parse_ipv6(context.pseudonyms.ipv6(groups)) or [])
        return _turned(masked).upper() + found[2]

    return re.sub(r"(?<![0-9A-Z])([0-9A-F]{32}|[0-9A-F]{8})(:[0-9A-F]{4})(?![0-9A-Z])", address, text)


def _turned(digits: str) -> str:
    words = (digits[at : at + 8] for at in range(0, len(digits), 8))
    return "".join(word[6:] + word[4:6] + word[2:4] + word[:2] for word in words)


_MASK: dict[str, Callable[[str, Context], str]] = {
    "sysfs-net": _mask_sysfs,
    "proc-net-dev": _mask_net_dev,
    "ip-link-text": _mask_ip_text,
    "proc-status": _mask_status,
    "task-stat": _mask_stat,
    "task-cgroup": _mask_task_cgroup,
    "cgroup-cpu": _mask_cgroup_cpu,
    "proc-cmdline": _mask_cmdline,
    "virsh-dumpxml": _mask_dumpxml,
    "virsh-list": _mask_list,
    "virsh-domstats": _mask_domstats,
    "virsh-domiflist": _mask_domiflist,
    "kernel-log": mask_kernel_log,
    "ovs-log": mask_switch_log,
    "ovs-show": _mask_show,
    "ovs-dump-flows": mask_flows,
    "ovs-datapath-flows": mask_flows,
    "trace": _mask_trace,
    "os-release": _mask_os_release,
    "proc-version": _mask_version,
    "ethtool-i": _mask_ethtool_i,
    "ethtool-k": _mask_ethtool,
    "ethtool-l": _mask_ethtool,
    "tc-filter": _mask_filter,
    "proc-net-udp": _mask_sockets,
    "proc-net-udp6": _mask_sockets,
}


def _plain_json(string: str) -> str:
    return re.sub(r'\\(["\\/])', r"\1", string)


def _plain_xml(text: str) -> str:
    for entity, character in (("&apos;", "'"), ("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text
