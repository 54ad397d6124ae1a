# SPDX-License-Identifier: Apache-2.0
"""Bring the knowledge base's sites about on other kernels: the triggers of tests/real, in the lab's machines.

    python tests/lab/triggers.py --kernel 6.1

Exit status 0: every trigger that this kernel has did what the knowledge base says; 1: some did not.
"""

import argparse
import io
import json
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from run import locked
from vnetlab import images
from vnetlab.machine import Machine
from vnetlab.verdict import TREE

TEST = "test_the_counters_of_the_site_move_and_no_others"
LIMIT_S = 1500
MODULES = "tun macvtap veth bridge act_police cls_matchall sch_htb sch_tbf sch_fq_codel sch_ingress vhost_net"


def tree() -> bytes:
    """Pack what the tests need: the package, the knowledge base, the tests with real taps."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for folder, pattern in (("analyzer/vnetkb", "*.py"), ("kb", "*.*"), ("tests/real", "*.py")):
            for file in sorted((TREE / folder).rglob(pattern)):
                archive.add(file, file.relative_to(TREE))
    return packed.getvalue()


def outcomes(junit: bytes) -> dict[str, Any]:
    """Return from pytest's report the sites brought about, triggers that failed or do not apply."""
    sites: set[str] = set()
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for case in ET.fromstring(junit).iter("testcase"):  # noqa: S314 - of our own pytest
        key = case.attrib["name"].partition("[")[2].removesuffix("]")
        problem = next((one for one in case if one.tag in {"failure", "error"}), None)
        skip = case.find("skipped")
        if problem is not None:
            failed[key] = problem.attrib.get("message", "")[:300]
        elif skip is not None:
            skipped[key] = skip.attrib.get("message", "").removeprefix("NOT TRIGGERED: ")
        else:
            sites.add(key.partition("/")[0])
    return {"sites": sorted(sites), "failed": failed, "skipped": skipped}


def main(arguments: Sequence[str]) -> int:
    """Run the triggers on the kernels that the arguments choose."""
    parser = argparse.ArgumentParser(
        prog="triggers.py", description="Trigger the knowledge base's sites in the lab."
    )
    parser.add_argument(
        "--kernel", action="append", choices=list(images.KERNELS), help="repeatable; default: all"
    )
    parser.add_argument("--only", default="", help="an expression for pytest -k")
    parser.add_argument("--keep", type=Path, help="where triggers-KERNEL.json goes")
    parser.add_argument("--lock", help="a lock file to hold while a machine runs")
    options = parser.parse_args(arguments)
    keep = options.keep or images.cache() / "results"
    keep.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in options.kernel or images.KERNELS:
        kernel = images.kernel(name)
        with locked(options.lock), Machine(kernel) as machine:
            machine.put("/run/tree.tar.gz", tree())
            machine.run(
                "mkdir /tmp/t && tar xzf /run/tree.tar.gz -C /tmp/t\n"
                f"for m in {MODULES}; do modprobe $m; done; :"
            )
            expression = f"{TEST} and ({options.only})" if options.only else TEST
            ran = machine.try_run(
                "cd /tmp/t && PYTHONPATH=analyzer:tests/real"
                " python3 -m pytest -q --noconftest -p no:cacheprovider"
                f" --junitxml=/run/junit.xml -k '{expression}' tests/real/test_sites.py",
                limit_s=LIMIT_S,
            )
            (keep / f"triggers-{name}.log").write_text(ran.out + ran.err, encoding="utf-8")
            found = outcomes(machine.get("/run/junit.xml"))
        failed |= bool(found["failed"])
        row = {"kernel": name, "release": kernel.release, **found}
        if not options.only:
            (keep / f"triggers-{name}.json").write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
        numbers = ", ".join(f"{len(found[key])} {key}" for key in ("sites", "failed", "skipped"))
        print(f"{name}: {numbers}", *found["failed"].items(), sep="\n  ", flush=True)  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
