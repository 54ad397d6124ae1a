# SPDX-License-Identifier: Apache-2.0
"""The report as JSON, in the shape that schemas/report.schema.json fixes."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

from vnetkb import __version__
from vnetkb.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.diagnosis.model import Alarm, Candidate, Evidence
    from vnetkb.facts.model import Bounds
    from vnetkb.facts.path import Path

SCHEMA_VERSION = "1"


def render_json(diagnosis: Diagnosis) -> str:
    r"""Return the report as one JSON document with a final newline.

    Bytes of the bundle that were not UTF-8 are written as text, ``\xff``: a lone surrogate is no valid JSON.
    """
    return f"{{{', '.join(_members(diagnosis))}}}\n"


def _members(diagnosis: Diagnosis) -> Iterator[str]:
    """Each member of the document; hundreds of findings as plain data would take more room than all else."""
    for name, value in _document(diagnosis, []).items():
        dumped = (
            f"[{', '.join([_dumped(_finding(finding)) for finding in diagnosis.findings])}]"
            if name == "findings"
            else _dumped(value)
        )
        yield f"{_dumped(name)}: {dumped}"


def _dumped(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace_bytes")


def valid_utf8(value: object) -> str:
    r"""Return data as JSON in which bytes that were not UTF-8 stand as ``\xff``, with a final newline."""
    return f"{_dumped(value)}\n"


def _as_escaped_text(error: UnicodeError) -> tuple[str, int]:
    """Write undecodable bytes as an escaped backslash and two digits, inside a JSON string."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(f"\\\\x{byte:02x}" for byte in bad), error.end


codecs.register_error("replace_bytes", _as_escaped_text)


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the report as plain data."""
    return _document(diagnosis, [_finding(finding) for finding in diagnosis.findings])


def _document(diagnosis: Diagnosis, findings: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "vnetkb", "version": __version__},
        "bundle": {
            "name": diagnosis.bundle_name,
            "sha256": diagnosis.bundle_sha256,
            "interval_s": diagnosis.interval_s,
            "snapshots": diagnosis.snapshots,
            "samples": diagnosis.samples,
        },
        "hosts": [
            {
                "name": host.name,
                "kernel": host.kernel,
                "taps": host.taps,
                "vms": host.vms,
                "ovs": host.ovs,
                "devices": host.devices,
                "uncounted_taps": len(host.uncounted),
            }
            for host in diagnosis.hosts
        ],
        "findings": findings,
        "groups": [
            {
                "id": group.id,
                "cause": group.cause,
                "scope": {"kind": group.scope_kind, "name": group.scope_name},
                "findings": list(group.findings),
                "text": group.text,
            }
            for group in diagnosis.groups
        ],
        "next_steps": [
            {"command": step.command, "would_decide": list(step.would_decide), "text": step.text}
            for step in diagnosis.next_steps
        ],
        "notices": [
            {"level": notice.level, "rule": notice.rule, "subject": notice.subject, "text": notice.text}
            for notice in diagnosis.notices
        ],
        "missing_captures": list(diagnosis.missing_captures),
        "past": diagnosis.past,
    }


def _alarm(finding: Finding, alarm: Alarm) -> dict[str, Any]:
    return {
        "means": alarm.means,
        "text": words.alarm(finding, alarm),
        "counted_as": alarm.counted_as,
        "counted_times": alarm.times,
        "held": alarm.held,
        "not_told": list(alarm.not_told),
        "watched_by": [
            {
                "kind": watch.kind,
                "name": watch.name,
                "bridge": watch.bridge,
                "role": watch.role,
                "targets": list(watch.targets),
                "one_in": watch.one_in,
                "every_s": watch.every_s,
                "packets": watch.packets,
                "vlans": list(watch.vlans),
                "rules": watch.rules,
                "captures": list(watch.captures),
            }
            for watch in alarm.watches
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    symptom = finding.symptom
    return {
        "id": finding.id,
        "subject": {
            "kind": finding.subject.kind,
            "name": finding.subject.name,
            "vm": finding.subject.vm,
            "guest_nic": finding.subject.guest_nic,
            "port_of": finding.subject.port_of,
        },
        "symptom": {
            "counter": symptom.counter,
            "state": symptom.state,
            "delta": symptom.delta,
            "total": symptom.total,
            "ratio": symptom.ratio,
            "seconds": symptom.seconds,
            "rate": _bounds(symptom.rate),
            "share": _bounds(symptom.share),
            "between": list(symptom.between) if symptom.between else None,
            "called": symptom.called,
            "captures": list(symptom.captures),
            "earlier": symptom.earlier,
            "why_unknown": symptom.why_unknown or None,
        },
        "verdict": finding.verdict,
        "cause": finding.cause.id if finding.cause else None,
        "site": finding.site,
        "reference": words.pages(finding),
        "contributors": list(finding.contributors),
        "open_beneath": list(finding.deeper),
        "harm": str(finding.harm),
        "harm_reason": finding.harm_reason,
        "alarm": _alarm(finding, finding.alarm) if finding.alarm else None,
        "path": _path(finding.picture.path) if finding.picture and finding.picture.path else None,
        "followed": [
            {
                "what": one.id,
                "correlation": one.correlation,
                "intervals": one.intervals,
                "captures": list(one.captures),
            }
            for one in (finding.picture.together if finding.picture else ())
        ],
        "candidates": [_candidate(candidate) for candidate in finding.candidates],
        "witnesses": [
            {
                "name": w.name,
                "value": w.value,
                "agrees": w.agrees,
                "tolerance": w.tolerance,
                "captures": list(w.captures),
            }
            for w in finding.witnesses
        ],
        "remedies": [
            {
                "id": applied.remedy.id,
                "title": applied.remedy.title,
                "kind": applied.remedy.kind and str(applied.remedy.kind),
                "text": applied.text,
                "command": applied.command,
                "persistent": dict(applied.persistent),
                "settings": [
                    {
                        "what": one.what,
                        "present": one.present,
                        "why_unknown": one.why_unknown or None,
                        "look": one.look,
                        "proposed": one.proposed,
                        "because": one.because,
                        "captures": list(one.captures),
                    }
                    for one in applied.settings
                ],
                "stands_for": dict(applied.stands_for),
                "costs": applied.remedy.costs,
                "helps": applied.remedy.helps,
                "check": applied.check,
                "undo": applied.undo,
            }
            for applied in finding.remedies
        ],
    }


def _bounds(bounds: Bounds | None) -> dict[str, float] | None:
    return None if bounds is None else bounds._asdict()


def _path(path: Path) -> dict[str, Any]:
    return {
        "way": path.way,
        "points": [
            {
                "id": point.id,
                "kind": point.kind,
                "name": point.name,
                "detail": point.detail,
                "counts": [
                    {
                        "role": count.role,
                        "counter": count.counter,
                        "value": count.value,
                        "captures": list(count.captures),
                        "why_unknown": count.why_unknown or None,
                        "of_all": count.of_all,
                    }
                    for count in point.counts
                ],
            }
            for point in path.points
        ],
        "losing": list(path.losing) if path.losing else None,
        "apart": {"seconds": path.apart[0], "packets": path.apart[1]} if path.apart else None,
        "lost": path.lost,
        "at_least": path.at_least,
        "seconds": path.seconds,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "rule": candidate.rule.id,
        "title": candidate.rule.title,
        "status": str(candidate.status),
        "evidence": [_evidence(evidence) for evidence in candidate.tell()],
        "missing": list(candidate.missing),
        "ruled_out_with": candidate.inherited,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "fact": evidence.fact,
        "value": value_of(evidence.value),
        "effect": evidence.effect,
        "text": evidence.text,
        "captures": list(evidence.captures),
        "inferred": evidence.inferred,
    }


def value_of(value: object) -> object:
    """Return a fact's value as JSON has it."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [value_of(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value
