# SPDX-License-Identifier: Apache-2.0
"""From a bundle to a masked bundle, in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from vnetkb.bundle.manifest import load_document
from vnetkb.bundle.reader import LOG, MANIFEST, REVIEW
from vnetkb.errors import UsageProblem
from vnetkb.paths import kb_dir
from vnetkb.privacy.captures import Context, capture_id, harvest, mask
from vnetkb.privacy.pseudonyms import HOST, Kept, Pseudonyms
from vnetkb.privacy.scan import Leak, scan
from vnetkb.privacy.secrets import cut_secrets
from vnetkb.privacy.text import Masker

if TYPE_CHECKING:
    from vnetkb.bundle.archive import Archive

LISTS = "masking.yaml"
_ROUNDS = 4  # what is still learned in the last one, the scan finds
# What the manifest's own properties are called, and those whose value is a word of vnetkb too.
# Halves of characters that stand for no byte; JSON can spell them.
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_OWN_KEYS = re.compile(
    r'^( *)"(?:absent|argv|boot_id|bytes|captures|clock|collector|counts|detail|devices|dropped|duration_s'
    r"|end|end_monotonic_s|every_s|events|exit_status|guests|host|interval_s|kernel|left|lost_events|machine|masked"
    r"|masking|max_s|monotonic_s|n|name|notes|options|release|remark|rings|root|samples|schema_version|scope"
    r"|series|sha256|snapshots?|start|start_monotonic_s|stop_monotonic_s|trace|trace_s|truncated|version"
    r'|wait_for_drop|wait_for_drop_s|waited_s|wall)": ',
    re.MULTILINE,
)
_OWN_VALUES = re.compile(
    r'^ *"(?:(?:id|reason)": "[a-z0-9-]{1,64}"'
    r'|path": "(?:host/[0-9]+|series|guest/[^/"]+/[0-9]+)/[a-z0-9-]{1,64}")(?=,?$)',
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked bundle.

    Attributes:
        name: What the bundle is called now: the file name without its suffix, and the top folder.
        data: The archive, a .tar.gz.
        map: Kind, pseudonym and original, one a line: for the customer only.
        counts: How many different things of each kind were masked.
        left: How many names of each kind stayed, being common words, numbers or too short.
        leaks: What the scan found in the result; with any the result must not be used.
    """

    name: str
    data: bytes
    map: str
    counts: dict[str, int]
    left: dict[str, int]
    leaks: tuple[Leak, ...]

    def report(self) -> str:
        """Return what was masked and what stayed, one line a kind."""
        lines = [f"masked  {number:>6}  {kind}" for kind, number in self.counts.items()]
        lines += [
            f"left    {number:>6}  {kind} (common words, numbers, too short)"
            for kind, number in self.left.items()
        ]
        return "".join(f"{line}\n" for line in lines)


def load_kept() -> Kept:
    """Return what masking leaves as it is."""
    return Kept(yaml.safe_load((kb_dir() / LISTS).read_bytes()))


def mask_bundle(archive: Archive) -> Masked:
    """Mask every member of a bundle.

    Args:
        archive: The bundle as it was read; damaged captures are left out of the result.

    Raises:
        UsageProblem: It is masked already.
        ManifestFault: Its manifest cannot be read.
    """
    document = load_document(archive.members[MANIFEST].data)
    if document.get("masked") is True:
        raise UsageProblem(f"{archive.folder} is masked already")
    pseudonyms = Pseudonyms(load_kept())
    keep = _raw(str(document["kernel"]["release"]))
    masker = Masker(pseudonyms, keep)
    context = Context(masker)
    captures = {
        row["path"]: archive.members[row["path"]]
        for row in document["captures"]
        if row["path"] in archive.members and archive.members[row["path"]].sha256 == row["sha256"]
    }
    texts = {
        path: cut_secrets(capture_id(path), member.data.decode("latin-1"))
        for path, member in sorted(captures.items())
    }
    _names_of_host(document, pseudonyms)
    for path, text in texts.items():
        harvest(path, text, context)
    for text in texts.values():
        _addresses(text, masker)
    free = {
        name: archive.members[name].data.decode("latin-1") for name in (REVIEW,) if name in archive.members
    }
    log = archive.members[LOG].data.decode("latin-1") if LOG in archive.members else ""
    free[LOG] = re.sub(r"(?:sha256 [0-9a-f]{64}  .*\n)+\Z", "", log)
    masked: dict[str, str] = {}
    changed: dict[str, Any] = {}
    for _ in range(_ROUNDS):
        masker.forget()
        known = pseudonyms.learned
        masked = {_member(path, context): mask(path, text, context) for path, text in texts.items()}
        for path, text in free.items():
            masked[path] = "\n".join(context.text(line) for line in text.split("\n"))
        changed = _manifest(document, captures, masked, context)
        if pseudonyms.learned == known:
            break
    masked[MANIFEST] = json.dumps(changed, indent=1)
    stamp = archive.folder.rpartition("-")[2]
    name = f"vnetkb-{changed['host']['name']}-{stamp}"
    release = masker.names(keep)
    leaks = scan({**masked, MANIFEST: _said(masked[MANIFEST]), name: name}, pseudonyms, release)
    masked[LOG] += _sums(masked)  # names of members, which are vnetkb's words
    return Masked(
        name,
        _pack(name, masked),
        pseudonyms.as_text(),
        pseudonyms.counts(),
        dict(sorted(pseudonyms.left.items())),
        tuple(leaks),
    )


def _names_of_host(document: dict[str, Any], pseudonyms: Pseudonyms) -> None:
    host = _raw(str(document["host"]["name"]))
    short, dot, domain = host.partition(".")
    pseudonyms.host(short)
    if dot:
        pseudonyms.name("domain", domain)
        for label in domain.split(".")[:-1]:
            pseudonyms.name("domain", label)
    for row in document["captures"]:
        scope, colon, guest = str(row["scope"]).partition(":")
        if scope == "guest" and colon:
            pseudonyms.name("vm", _raw(guest))


def _addresses(text: str, masker: Masker) -> None:
    """Meet every MAC address before an interface identifier or a multicast group made of one."""
    for line in text.split("\n"):
        if ":" in line:
            masker.learn_macs(line)


def _member(path: str, context: Context) -> str:
    """Return the path of a member, which holds a VM's name where it is of a guest."""
    guest, *rest = path.split("/")
    if guest == "guest" and len(rest) > 1:
        rest[0] = _unraw(context.masker.text(_raw(rest[0])))
    return "/".join((guest, *rest))


def _said(manifest: str) -> str:
    """Return a manifest without vnetkb's own words: only the values of its properties speak of the host."""
    return _OWN_KEYS.sub(r"\1", _OWN_VALUES.sub("", manifest))


def _manifest(
    document: dict[str, Any], captures: dict[str, Any], masked: dict[str, str], context: Context
) -> dict[str, Any]:
    rest = {
        key: value for key, value in document.items() if key not in {"kernel", "boot_id", "collector", "host"}
    }
    result: dict[str, Any] = _masked_values(rest, context)
    result["host"] = {"name": HOST}
    result["kernel"] = document["kernel"] | {
        key: _unraw(context.version(_raw(str(document["kernel"][key]))))
        for key in ("release", "version")
        if key in document["kernel"]
    }
    result["boot_id"] = boot_pseudonym(str(document["boot_id"]))
    result["collector"] = document["collector"]
    context.pseudonyms.issued.add(result["boot_id"].replace("-", ""))
    result["masked"] = True
    if result["schema_version"] == "1.0" and REVIEW in masked:
        result["schema_version"] = "1.1"  # as all sums are taken now
    result["masking"] = {"counts": context.pseudonyms.counts(), "left": dict(context.pseudonyms.left)}
    for row, original in zip(result["captures"], document["captures"], strict=True):
        row["id"] = original["id"]
        scope, colon, guest = str(original["scope"]).partition(":")
        row["scope"] = scope + colon + _unraw(context.masker.text(_raw(guest)))
        if original.get("absent"):
            row["absent"]["reason"] = original["absent"]["reason"]
        row["sha256"] = original["sha256"]
        if original["path"] is None:
            continue
        row["path"] = _member(original["path"], context)
        if original["path"] not in captures:
            row["path"] = row["bytes"] = row["sha256"] = None
            row["absent"] = {"reason": "failed", "detail": "damaged before it was masked"}
            continue
        data = masked[row["path"]].encode("latin-1")
        row["bytes"], row["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    return result


def _masked_values(value: Any, context: Context) -> Any:  # noqa: ANN401  # JSON is of any type
    if isinstance(value, dict):
        return {key: _masked_values(each, context) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked_values(each, context) for each in value]
    if isinstance(value, str):
        return _unraw(context.text(_raw(value)))
    return value


def _raw(text: str) -> str:
    """Return a text of the manifest as those of captures are: one character a byte."""
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text).encode("utf-8", "surrogateescape").decode("latin-1")


def _unraw(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def boot_pseudonym(boot_id: str) -> str:
    """Return what stands for a boot id: a sum, as two bundles of one boot must still say so."""
    digits = hashlib.sha256(f"vnetkb {boot_id}".encode()).hexdigest()
    return (
        "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32])) if boot_id else ""
    )


def _sums(masked: dict[str, str]) -> str:
    """Return what the collector's log ends with: the sums of the files that the manifest has none of."""
    return "".join(
        f"sha256 {hashlib.sha256(masked[name].encode('latin-1')).hexdigest()}  {name}\n"
        for name in (MANIFEST, REVIEW, LOG)
        if name in masked
    )


def _pack(name: str, members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, text in sorted(members.items(), key=lambda item: item[0] != MANIFEST):
            data = text.encode("latin-1")
            info = tarfile.TarInfo(f"{name}/{member}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 6, mtime=0)
