# SPDX-License-Identifier: Apache-2.0
"""Who reads a tap's ring, and how its threads spent the time with drops."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulated import Device, Host, schedstat_series, status
from vnetkb.bundle import read_bundle
from vnetkb.facts import Observation, build
from vnetkb.kb.load import load_kb

KB = load_kb()
QEMU = "4711\t/usr/bin/qemu-system-x86_64\n4711\t-name guest=web01,debug-threads=on\n"
NIC = "4711\t-netdev tap,fd=25,id=hostnet0,vhost=on\n"
NIC += "4711\t-device virtio-net-pci,netdev=hostnet0,mac=52:54:00:aa:bb:cc\n"
FD = "/proc/4711/fdinfo/{}:iff:\t{}\n"
LOSING = Device("vnet3", (100, 268), (900, 1400), series=[(900, 100), (1100, 100), (1400, 268)])


def observe(
    folder: Path, captures: Mapping[str, str | None], *devices: Device, root: bool = True
) -> Observation:
    host = Host(devices or [LOSING], captures=captures, root=root)
    found = build(read_bundle(host.write(folder)), KB).observations
    return next(o for o in found if o.subject.name == "vnet3")


def threads(*rows: str) -> dict[str, str]:
    return {"host/0/proc-status": "".join(rows), "host/1/proc-status": "".join(rows)}


KTHREAD = threads(status(4711, 4711, "qemu-system-x86"), status(4720, 4720, "vhost-4711"))
THREAD = threads(status(4711, 4711, "qemu-system-x86"), status(4711, 4720, "vhost-4711"))
NO_VHOST = threads(status(4711, 4711, "qemu-system-x86"))


@pytest.mark.parametrize(
    ("tasks", "kind"), [(KTHREAD, "vhost-kthread"), (THREAD, "vhost-thread"), (NO_VHOST, "qemu")]
)
def test_a_vm_s_reader_is_told_by_its_threads(tmp_path: Path, tasks: dict[str, str], kind: str) -> None:
    captures = {"host/0/tun-fdinfo": FD.format(25, "vnet3"), "host/0/proc-cmdline": QEMU + NIC} | tasks
    observation = observe(tmp_path, captures)
    assert observation.facts.fact("reader.kind").value == kind
    assert observation.subject.vm == "web01"
    assert observation.subject.guest_nic == "52:54:00:aa:bb:cc"


def test_a_plain_process_is_a_process_and_no_vm(tmp_path: Path) -> None:
    captures = {
        "host/0/tun-fdinfo": FD.format(3, "vnet3"),
        "host/0/proc-cmdline": "4711\t/usr/sbin/openvpn\n",
    }
    observation = observe(tmp_path, captures | threads(status(4711, 4711, "openvpn")))
    assert observation.facts.fact("reader.kind").value == "process"
    assert observation.subject.vm is None


def test_nobody_is_none_only_for_root(tmp_path: Path) -> None:
    as_root = observe(tmp_path, {"host/0/tun-fdinfo": ""})
    assert as_root.facts.fact("reader.kind").value == "none"
    assert as_root.facts.fact("tap.owner_count").value == 0
    as_user = observe(tmp_path, {"host/0/tun-fdinfo": ""}, root=False)
    assert as_user.facts.fact("reader.kind").value is None
    assert as_user.facts.fact("reader.kind").missing == ("tun-fdinfo",)
    assert as_user.facts.fact("tap.owner_count").value is None


def test_an_unattached_file_owns_no_tap(tmp_path: Path) -> None:
    observation = observe(tmp_path, {"host/0/tun-fdinfo": FD.format(25, "")})
    assert observation.facts.fact("tap.owner_count").value == 0


def test_one_worker_and_one_queue_are_joined_exactly_two_only_by_order(tmp_path: Path) -> None:
    exact = observe(tmp_path, {"host/0/tun-fdinfo": FD.format(25, "vnet3")} | KTHREAD)
    assert not exact.facts.fact("reader.workers").inferred
    two_nics = {"host/0/tun-fdinfo": FD.format(25, "vnet2") + FD.format(27, "vnet3")}
    tasks = threads(*(status(tid, tid, "vhost-4711") for tid in (4720, 4721)), status(4711, 4711, "qemu-kvm"))
    run = [{(4720, 4720): (k, 0, k), (4721, 4721): (1000 * 10**6 * k, 0, k)} for k in (1, 2, 3)]
    captures = two_nics | tasks | {"series/task-schedstat": schedstat_series(run)}
    by_order = observe(tmp_path, captures, LOSING, Device("vnet2"))
    assert by_order.facts.fact("reader.workers").inferred
    assert by_order.facts.fact("reader.run_ms").samples == (1000.0, 1000.0)
    assert by_order.facts.fact("reader.run_ms").inferred


def test_more_workers_than_queues_are_taken_together(tmp_path: Path) -> None:
    tasks = threads(
        *(status(tid, tid, "vhost-4711") for tid in (4720, 4721, 4722)), status(4711, 4711, "qemu-kvm")
    )
    fact = observe(tmp_path, {"host/0/tun-fdinfo": FD.format(25, "vnet3")} | tasks).facts.fact(
        "reader.workers"
    )
    assert (fact.value, fact.inferred) == (3, True)


def shares(tmp_path: Path, samples: Sequence[Mapping[tuple[int, int], tuple[int, int, int]]]) -> Observation:
    captures = {
        "host/0/tun-fdinfo": FD.format(25, "vnet3"),
        "series/task-schedstat": schedstat_series(samples),
    }
    return observe(tmp_path, captures | KTHREAD)


def test_run_wait_and_sleep_fill_the_interval(tmp_path: Path) -> None:
    ms = 10**6
    worker = (4720, 4720)
    samples = [{worker: (0, 0, 1)}, {worker: (200 * ms, 300 * ms, 2)}, {worker: (300 * ms, 300 * ms, 3)}]
    facts = shares(tmp_path, samples).facts
    assert facts.fact("reader.run_ms").samples == (200.0, 100.0)
    assert facts.fact("reader.delay_ms").samples == (300.0, 0.0)
    assert facts.fact("reader.sleep_ms").samples == (500.0, 900.0)
    assert facts.fact("reader.run_share").samples == (20.0, 10.0)
    assert facts.fact("reader.sleep_share").samples == (50.0, 90.0)
    assert facts.fact("reader.run_ms").captures == ("series/task-schedstat",)


def test_a_kernel_that_keeps_no_account_leaves_it_unknown_not_zero(tmp_path: Path) -> None:
    zero = {(4720, 4720): (0, 0, 0)}
    fact = shares(tmp_path, [zero, zero, zero]).facts.fact("reader.run_ms")
    assert fact.value is None
    assert fact.samples == (None, None)
    assert fact.missing == ()  # it was taken: to take it again would tell no more


def test_a_worker_that_is_missing_in_one_sample_is_unknown_there_only(tmp_path: Path) -> None:
    worker = (4720, 4720)
    samples = [{worker: (1, 1, 1)}, {}, {worker: (10**6, 1, 2)}, {worker: (2 * 10**6, 1, 2)}]
    device = replace(LOSING, series=[(900, 100), (1100, 100), (1200, 150), (1400, 268)])
    captures = {
        "host/0/tun-fdinfo": FD.format(25, "vnet3"),
        "series/task-schedstat": schedstat_series(samples),
    }
    fact = observe(tmp_path, captures | KTHREAD, device).facts.fact("reader.run_ms")
    assert fact.samples == (None, None, 1.0)
    assert fact.value is None


def test_the_ring_covers_its_length_over_the_rate_offered(tmp_path: Path) -> None:
    fact = observe(tmp_path, {}).facts.fact("ring.cover_ms")
    assert list(fact.samples) == pytest.approx([5000.0, 1000 * 1000 / 468])
    assert fact.value == pytest.approx(1000 * 1000 / 468)


def test_drops_weigh_the_samples(tmp_path: Path) -> None:
    facts = observe(tmp_path, {}).facts
    assert tuple(facts.drops) == (0, 168)
    assert facts.fact("drop.sample_share").value == 50.0
    assert facts.fact("drop.samples").value == 1
    assert facts.fact("drop.peak_ratio").value == pytest.approx(100 * 168 / 468)
    assert facts.fact("reader.progress").samples == (200, 300)


def qdisc(sent: int) -> str:
    return (
        '[{"kind":"pfifo_fast","handle":"0:","dev":"vnet3","root":true,"refcnt":2,"options":{},"bytes":1,'
        f'"packets":{sent},"drops":0,"overlimits":0,"requeues":0,"backlog":0,"qlen":0}}]'
    )


def test_what_the_qdisc_handed_on_and_nobody_saw_lies_in_the_ring(tmp_path: Path) -> None:
    captures = {"host/0/tc-qdisc": qdisc(1000 + 990), "host/1/tc-qdisc": qdisc(1668 + 995)}
    facts = observe(tmp_path, captures).facts
    assert facts.fact("ring.fill_at_most").ends == (99.0, 99.5)
    low = facts.fact("ring.fill_at_least").ends
    # Both readings took 10 ms of a clock with steps of 10 ms, at up to 468 packets/s offered.
    assert low == (98.0, 98.5)


def test_a_qdisc_younger_than_its_device_tells_nothing(tmp_path: Path) -> None:
    captures = {"host/0/tc-qdisc": qdisc(5), "host/1/tc-qdisc": qdisc(9)}
    assert observe(tmp_path, captures).facts.fact("ring.fill_at_most").ends == (None, None)


@pytest.mark.parametrize(
    ("symbol", "wait"),
    [
        ("tun_ring_recv", "ring"),
        ("do_poll.constprop.0", "poll"),
        ("hrtimer_nanosleep", "elsewhere"),
        ("vhost_task_fn", "elsewhere"),
        ("0", None),
    ],
)
def test_where_a_reader_sleeps_is_told_by_the_kernel_s_function(
    tmp_path: Path, symbol: str, wait: str | None
) -> None:
    line = f"/proc/4711/task/4711/wchan:{symbol}\n"
    captures = {
        "host/0/tun-fdinfo": FD.format(3, "vnet3"),
        "host/0/task-wchan": line,
        "host/1/task-wchan": line,
    }
    fact = observe(tmp_path, captures | threads(status(4711, 4711, "reader"))).facts.fact("reader.wait")
    assert fact.value == wait


def test_throttling_is_found_in_the_groups_above_a_thread(tmp_path: Path) -> None:
    group = "/machine.slice/machine-qemu.scope"
    stat = "/sys/fs/cgroup{}/cpu.stat:nr_periods {}\n/sys/fs/cgroup{}/cpu.stat:throttled_usec {}\n"
    captures = {
        "host/0/tun-fdinfo": FD.format(25, "vnet3"),
        "host/1/task-cgroup": f"/proc/4711/task/4711/cgroup:0::{group}/emulator\n",
        "host/0/cgroup-cpu": stat.format(group, 10, group, 5000) + stat.format("/other", 1, "/other", 1),
        "host/1/cgroup-cpu": stat.format(group, 90, group, 2505000)
        + stat.format("/other", 1, "/other", 9 * 10**9),
    }
    fact = observe(tmp_path, captures | NO_VHOST).facts.fact("reader.throttled_ms")
    assert fact.value == 2500.0


def table(*rows: tuple[str, str, str, list[str]]) -> str:
    """Rows of an OVSDB table: UUID, name, and a column that is a set of UUIDs."""
    data = [
        [
            ["uuid", uuid],
            name,
            ["set", [["uuid", one] for one in members]] if len(members) != 1 else ["uuid", members[0]],
        ]
        for uuid, name, _, members in rows
    ]
    return json.dumps({"headings": ["_uuid", "name", rows[0][2]], "data": data})


def test_the_bridge_is_found_through_the_three_tables_of_open_vswitch(tmp_path: Path) -> None:
    captures = {
        "host/0/ovs-interface": table(("i3", "vnet3", "x", []), ("i9", "eth0", "x", [])),
        "host/0/ovs-port": table(
            ("p3", "vnet3", "interfaces", ["i3"]), ("p9", "bond0", "interfaces", ["i9", "i8"])
        ),
        "host/0/ovs-bridge": table(("b1", "br-int", "ports", ["p3", "p9"])),
    }
    assert observe(tmp_path, captures).subject.port_of == "br-int"


def test_the_bridge_of_the_kernel_is_the_master(tmp_path: Path) -> None:
    link = "lrwxrwxrwx 1 root root 0 Nov 22 13:45 vnet3/master -> ../../br0\n"
    assert observe(tmp_path, {"host/0/sysfs-net-links": link}).subject.port_of == "br0"


def test_threads_of_the_root_group_are_never_throttled(tmp_path: Path) -> None:
    line = "/proc/4711/task/4711/cgroup:0::/\n"
    captures = {"host/0/tun-fdinfo": FD.format(25, "vnet3")}
    captures |= {"host/0/task-cgroup": line, "host/1/task-cgroup": line}
    assert observe(tmp_path, captures | NO_VHOST).facts.fact("reader.throttled_ms").value == 0.0
    unknown = observe(tmp_path, {"host/0/tun-fdinfo": FD.format(25, "vnet3")} | NO_VHOST)
    assert unknown.facts.fact("reader.throttled_ms").value is None


MS = 10**6
STEP = 20 * MS
SPANS = st.lists(
    st.tuples(st.sampled_from(["run", "wait", "sleep"]), st.integers(1, 200)), min_size=1, max_size=12
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SPANS)
def test_a_wait_is_told_of_the_intervals_that_it_was_in(tmp_path: Path, spans: list[tuple[str, int]]) -> None:
    """The kernel adds a wait to run delay when it ends, which may be many intervals later."""
    intervals, steps = 6, 50
    plan = ["wait"] * 5 + ["run"]
    for kind, length in spans:
        # it is always runnable before it runs, and a wait ends in running
        plan += [kind] * length + (["run"] if kind == "wait" else [])
    plan = (plan + ["run"] + ["sleep"] * steps * intervals)[: steps * intervals]
    counts, pending, slices, run, delay = [(0, 0, 1)], 0, 1, 0, 0
    truth: list[Counter[str]] = []
    for k in range(intervals):
        for at in range(steps * k, steps * (k + 1)):
            if plan[at] == "wait":
                pending += 1
            elif plan[at] == "run":
                slices += 1 if pending else 0
                run, delay, pending = run + 1, delay + pending, 0
        counts.append((run * STEP, delay * STEP, slices))
        truth.append(Counter(plan[steps * k : steps * (k + 1)]))
    device = Device("vnet3", (0, 60), (0, 0), series=[(0, 10 * k) for k in range(intervals + 1)])
    state = "R (running)" if plan[-1] != "sleep" else "S (sleeping)"
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    captures = {
        "host/0/tun-fdinfo": FD.format(25, "vnet3"),
        "series/task-schedstat": schedstat_series([{(4720, 4720): count} for count in counts]),
        **threads(status(4720, 4720, "vhost-4711", state), status(4711, 4711, "qemu-kvm")),
    }
    facts = observe(folder, captures, device).facts
    shares, sleeps = facts.fact("reader.delay_share").samples, facts.fact("reader.sleep_share").samples
    assert len(shares) == intervals
    for share, slept, told in zip(shares, sleeps, truth, strict=True):
        if share is None:
            continue
        assert isinstance(share, int | float)
        assert isinstance(slept, int | float)
        # in the interval in which a wait ended it may have slept after that, which no number tells
        most = told["wait"] + (told["sleep"] if told["run"] else 0)
        assert share <= 100 * most / steps + 2.1  # the steps of the samples' clock
        assert 0 <= slept <= 100


def test_a_thread_that_waits_for_seconds_is_not_taken_for_asleep(tmp_path: Path) -> None:
    counts = [(0, 0, 1)] * 4 + [(MS, 3950 * MS, 2), (2 * MS, 3960 * MS, 3)]
    captures = {
        "host/0/tun-fdinfo": FD.format(25, "vnet3"),
        "series/task-schedstat": schedstat_series([{(4720, 4720): count} for count in counts]),
        **KTHREAD,
    }
    device = Device("vnet3", (0, 50), (0, 0), series=[(0, 10 * k) for k in range(6)])
    facts = observe(tmp_path, captures, device).facts
    shares = facts.fact("reader.delay_share").samples
    assert shares == pytest.approx((95.1, 100.0, 100.0, 99.9, 1.0))
    assert facts.fact("reader.sleep_share").samples == pytest.approx((4.9, 0.0, 0.0, 0.0, 98.9))
    # the wait that ended there was as long as this, which is what fills a ring
    assert facts.fact("reader.delay_ms").samples[3] == 3950.0
    assert facts.fact("reader.delay_ms").value == pytest.approx(3960.0)
