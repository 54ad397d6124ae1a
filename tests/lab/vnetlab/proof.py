# SPDX-License-Identifier: Apache-2.0
"""What the lab proved, kept in kb/lab/results.json, and the `proof.lab` of rules and sites made from it."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from vnetlab.scenarios import Scenario
from vnetlab.scenarios import load as load_scenarios

GUEST = "guest:"
"""What the name of a proof begins with that a guest with an agent gave; see guests.py."""
_SITE = re.compile(r"^  - id: (\S+)$", re.MULTILINE)


on_kernel = cache(load_scenarios)


def results_file(kb: Path) -> Path:
    """Return the file of a knowledge base folder."""
    return kb / "lab" / "results.json"


def load(kb: Path) -> dict[str, Any]:
    """Return what is kept."""
    file = results_file(kb)
    empty: dict[str, Any] = {"schema_version": "1", "scenarios": {}, "guests": {}}
    return empty | (json.loads(file.read_bytes()) if file.exists() else {})


def merge(kept: dict[str, Any], rows: Iterable[Mapping[str, Any]], every: Mapping[str, Scenario]) -> None:
    """Enter the rows of a run; what is of scenarios that are gone or were another then is dropped."""
    scenarios = kept["scenarios"]
    for row in rows:
        scenario = every.get(row["scenario"])
        if scenario is None or row["sum"] != _sum_on(row["kernel"], scenario) or row.get("problem"):
            continue
        entry = scenarios.setdefault(scenario.name, {})
        if entry.get("sum") != scenario.sum:
            entry.clear()
        entry |= {
            "sum": scenario.sum,
            "text": scenario.text,
            "sites": list(scenario.truth.sites),
            "expected": list(scenario.expect.cause),
        }
        made = {"sum": row["sum"]} if row["sum"] != scenario.sum else {}
        entry.setdefault("kernels", {})[row["kernel"]] = _entry(row) | made
    for name in list(scenarios):
        if name not in every or scenarios[name]["sum"] != every[name].sum:
            del scenarios[name]
            continue
        kernels = scenarios[name]["kernels"]
        for kernel in list(kernels):
            if kernels[kernel].get("sum", every[name].sum) != _sum_on(kernel, every[name]):
                del kernels[kernel]


def _sum_on(kernel: str, scenario: Scenario) -> str:
    """Return the sum of a scenario as it is made on a kernel."""
    return on_kernel(kernel)[scenario.name].sum


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    answers = {
        name: {key: row.get(name, {}).get(key) for key in ("verdict", "cause")}
        for name in ("whole", "plain", "once")
    }
    return {
        "release": row["release"],
        "sent": row["sent"],
        "received": row["received"],
        "moved": {
            place: amount
            for place, amount in row["moved"].items()
            if " ip " not in place and " proc " not in place
        },
        "reasons": dict(sorted(row["reasons"].items())),
        **answers,
        "harm": row.get("whole", {}).get("harm"),
        "made": not row["untrue"],
        "right": not row["wrong"],
        "wrong": row["untrue"] + row["wrong"],
        "seconds": row["seconds"],
        **({"packets_per_s": row["rate"]} if row.get("rate") else {}),
    }


def save(kb: Path, kept: Mapping[str, Any]) -> None:
    """Write what is kept."""
    ordered = {
        "schema_version": kept["schema_version"],
        "scenarios": {
            name: {
                **entry,
                "kernels": dict(sorted(entry["kernels"].items(), key=lambda one: version(one[0]))),
            }
            for name, entry in sorted(kept["scenarios"].items())
        },
        "guests": kept["guests"],
    }
    file = results_file(kb)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def version(kernel: str) -> tuple[int, ...]:
    """Return what kernels are sorted by."""
    return tuple(int(number) for number in kernel.split("."))


def proofs(kept: Mapping[str, Any]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what `proof.lab` of rules and of sites must be, by id.

    A rule is proven by a scenario that was made for it, of which it is the cause, and that was judged right:
    an answer that is merely allowed where less can be known proves nothing. A site is proven by a
    scenario that lost its packets there as the kernel and both ends say.
    """
    rules: dict[str, set[str]] = defaultdict(set)
    sites: dict[str, set[str]] = defaultdict(set)
    for name, entry in kept["scenarios"].items():
        for run in entry["kernels"].values():
            cause = run["whole"]["cause"]
            if run["made"] and run["right"] and cause and cause in entry.get("expected", [cause]):
                rules[cause].add(name)
            if run["made"]:
                for site in entry["sites"]:
                    sites[site].add(name)
    for name, entry in kept.get("guests", {}).items():
        if entry["cause"] and any(run["right"] for run in entry["kernels"].values()):
            rules[entry["cause"]].add(f"{GUEST}{name}")
    return (
        {one: sorted(names) for one, names in rules.items()},
        {one: sorted(names) for one, names in sites.items()},
    )


Change = Callable[[list[str]], list[str]]


def rule_text(text: str, change: Change) -> str:
    """Return the text of a rule's file with its `proof.lab` changed."""
    return re.sub(
        r"^(proof: \{.*?lab: )\[([^\]]*)\]",
        lambda found: f"{found[1]}{_list(change(_names(found[2])))}",
        text,
        count=1,
        flags=re.MULTILINE,
    )


def sites_text(text: str, change: Callable[[str], Change]) -> str:
    """Return the text of a file of sites with their `proof.lab` changed, as `change` says by site."""
    starts = [found.start() for found in _SITE.finditer(text)] + [len(text)]
    parts = [text[: starts[0]]]
    for start, end in pairwise(starts):
        block = text[start:end]
        found = _SITE.search(block)
        parts.append(_site_text(block, change(found[1])) if found else block)
    return "".join(parts)


def _names(text: str) -> list[str]:
    return [one.strip().strip('"') for one in text.split(",") if one.strip()]


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{one}"' if " " in one or "." in one else one for one in names) + "]"


def _site_text(block: str, change: Change) -> str:
    head, mark, proof = block.rpartition("\n    proof:")
    if not mark:
        return block
    found = re.search(r"lab: \[([^\]]*)\]", proof)
    before = _names(found[1]) if found else []
    lab = change(before)
    if lab == before:
        return block
    first, newline, rest = proof.partition("\n")
    if "{" in first:
        first = re.sub(r",? *lab: \[[^\]]*\]", "", first)
        if lab:
            first = re.sub(
                r"(, field: .*)?\}", lambda found: f", lab: {_list(lab)}{found[1] or ''}}}", first, count=1
            )
        return head + mark + first + newline + rest
    rest = re.sub(r"^      lab: \[[^\]]*\]\n", "", rest, flags=re.MULTILINE)
    if lab:
        lines = rest.split("\n")
        at = 0
        while at < len(lines) and re.match(r"      (source|public): ", lines[at]):
            at += 1
        lines.insert(at, f"      lab: {_list(lab)}")
        rest = "\n".join(lines)
    return head + mark + first + newline + rest


def changes(kb: Path, kept: Mapping[str, Any], ours: Collection[str]) -> dict[Path, str]:
    """Return the files whose `proof.lab` is not what the lab proved, with the text that they should have.

    Names that are not `ours` are of other experiments and stay.
    """
    rules, sites = proofs(kept)

    def change(proven: Sequence[str]) -> Change:
        return lambda names: [
            *(one for one in names if one not in ours and not one.startswith(GUEST)),
            *proven,
        ]

    wanted: dict[Path, str] = {}
    for file in sorted((kb / "rules").glob("*/*.yaml")):
        wanted[file] = rule_text(file.read_text(encoding="utf-8"), change(rules.get(file.stem, [])))
    for file in sorted((kb / "sites").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        wanted[file] = sites_text(text, lambda site: change(sites.get(site, [])))
    return {file: text for file, text in wanted.items() if text != file.read_text(encoding="utf-8")}


TABLE = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- end of results -->)", re.DOTALL)
GUEST_TABLE = re.compile(r"(?<=<!-- guests -->\n).*?(?=<!-- end of guests -->)", re.DOTALL)


def guest_table(kept: Mapping[str, Any], kernels: Sequence[str]) -> str:
    """Return the table guest x its kernel in Markdown: what is found of it."""
    rows = [f"| guest | {' | '.join(kernels)} |", "| --- |" + " --- |" * len(kernels)]
    for name, entry in kept["guests"].items():
        runs = [entry["kernels"].get(kernel) for kernel in kernels]
        cells = [("" if run["right"] else "**wrong**: ") + run["said"] if run else "not run" for run in runs]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def table(kept: Mapping[str, Any], every: Collection[str], kernels: Sequence[str]) -> str:
    """Return the table scenario x kernel in Markdown: the verdicts on all, without trace, on one snapshot."""
    rows = [f"| scenario | {' | '.join(kernels)} |", "| --- |" + " --- |" * len(kernels)]
    for name in sorted(every):
        runs = kept["scenarios"].get(name, {}).get("kernels", {})
        rows.append(f"| {name} | {' | '.join(_cell(runs.get(kernel)) for kernel in kernels)} |")
    return "\n".join(rows) + "\n"


def _cell(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "not run"
    answers = [_answer(run[name]) for name in ("whole", "plain", "once")]
    said = answers[0] if len(set(answers)) == 1 else "; ".join((answers[0], *_less(answers)))
    said += f" at {run['packets_per_s']:.0f} packets/s" if "packets_per_s" in run else ""
    seconds = "" if run["seconds"] is None else f" ({run['seconds']:.0f} s)"
    return f"{said}{seconds}" if run["right"] else f"**wrong**: {'; '.join(run['wrong'])[:90]}{seconds}"


def _less(answers: Sequence[str]) -> list[str]:
    """Say what less than the whole gives, where that is something else."""
    whole, plain, once = answers
    same = [] if plain == whole else [f"without trace {plain}"]
    return [*same, f"one snapshot {once}"] if once != plain else same


def _answer(said: Mapping[str, Any]) -> str:
    return f"{said['verdict']} {said['cause'] or ''}".strip() if said["verdict"] else "no finding"
