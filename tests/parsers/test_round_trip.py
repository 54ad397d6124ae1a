# SPDX-License-Identifier: Apache-2.0
"""Rows that are rendered as the system renders them are read back unchanged."""

import json
import string

from hypothesis import given
from hypothesis import strategies as st

from vnetkb.parsers import (
    ip_link,
    ovs_json,
    proc_cmdline,
    proc_net_dev,
    proc_status,
    series,
    softnet_stat,
    sysfs_net,
    task_schedstat,
    task_stat,
    tc_qdisc,
    trace,
    tun_fdinfo,
    virsh_domstats,
    virsh_list,
)

# what dev_valid_name() in net/core/dev.c lets through: any byte but /, : and white space, 15 at most
device_names = (
    st.binary(min_size=1, max_size=15)
    .filter(lambda raw: raw not in (b".", b"..") and not set(raw) & set(b"/: \t\n\v\f\r\0"))
    .map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
# prctl(PR_SET_NAME) takes any 15 bytes but NUL
task_names = st.binary(max_size=15).map(
    lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
)
u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
pids = st.integers(1, 2**22)


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@given(st.dictionaries(device_names, st.lists(u64, min_size=16, max_size=16), max_size=5))
def test_proc_net_dev(rows: dict[str, list[int]]) -> None:
    text = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|"
        "bytes    packets errs drop fifo colls carrier compressed\n"
    )
    # the format of dev_seq_printf_stats()
    for name, values in rows.items():
        columns = " ".join(f"{value:7d}" for value in values)
        text += f"{name:>6}: {columns}\n"
    assert {name: list(row) for name, row in proc_net_dev.parse(raw(text)).items()} == rows


@given(
    st.dictionaries(
        device_names,
        st.tuples(
            st.dictionaries(st.sampled_from(["rx_packets", "tx_dropped", "tx_packets"]), u64),
            st.dictionaries(
                st.sampled_from(["mtu", "address", "operstate"]), st.text(string.printable[:90], max_size=20)
            ),
        ).filter(lambda pair: bool(pair[0] or pair[1])),
        max_size=5,
    )
)
def test_sysfs_net(devices: dict[str, tuple[dict[str, int], dict[str, str]]]) -> None:
    text = "".join(
        "".join(f"{name}/statistics/{key}:{value}\n" for key, value in statistics.items())
        + "".join(f"{name}/{key}:{value}\n" for key, value in attributes.items())
        for name, (statistics, attributes) in devices.items()
    )
    found = sysfs_net.parse(raw(text))
    assert {name: (row.statistics, row.attributes) for name, row in found.items()} == devices


@given(st.dictionaries(pids, st.tuples(pids, u64, u64, u64), max_size=8), st.sets(pids))
def test_task_schedstat(threads: dict[int, tuple[int, int, int, int]], others: set[int]) -> None:
    text = "".join(
        f"/proc/{pid}/task/{tid}/schedstat:{run} {delay} {slices}\n"
        for tid, (pid, run, delay, slices) in threads.items()
    )
    every = task_schedstat.parse(raw(text))
    assert {tid: tuple(row) for tid, row in every.items()} == threads
    wanted = others | set(list(threads)[::2])
    some = task_schedstat.parse(raw(text), only_tids=wanted)
    assert some == {tid: row for tid, row in every.items() if tid in wanted}


@given(st.dictionaries(pids, st.tuples(task_names, st.sampled_from("RSDTtZXI"), u64), max_size=5))
def test_task_stat(threads: dict[int, tuple[str, str, int]]) -> None:
    text = ""
    for tid, (name, state, utime) in threads.items():
        numbers = f"1 2 3 4 5 6 7 8 9 10 {utime} " + " ".join(str(number) for number in range(38))
        for line in f"{tid} ({name}) {state} {numbers}".split("\n"):
            text += f"/proc/7/task/{tid}/stat:{line}\n"
    found = task_stat.parse(raw(text))
    assert {tid: (row.comm, row.state, row.utime_ticks) for tid, row in found.items()} == threads


@given(st.dictionaries(pids, task_names, max_size=5))
def test_proc_status_names(threads: dict[int, str]) -> None:
    def kernel(name: str) -> str:
        # seq_escape_mem(…, ESCAPE_SPACE | ESCAPE_SPECIAL, "\n\\") in proc_task_name()
        return name.replace("\\", "\\\\").replace("\n", "\\n")

    text = "".join(f"/proc/7/task/{tid}/status:Name:\t{kernel(name)}\n" for tid, name in threads.items())
    assert {tid: row.name for tid, row in proc_status.parse(raw(text)).items()} == threads


@given(st.lists(st.tuples(pids, st.integers(0, 10**6), st.none() | device_names), max_size=5))
def test_tun_fdinfo(rows: list[tuple[int, int, str | None]]) -> None:
    text = "".join(f"/proc/{pid}/fdinfo/{fd}:iff:\t{device or ''}\n" for pid, fd, device in rows)
    assert [(row.pid, row.fd, row.device) for row in tun_fdinfo.parse(raw(text))] == rows


@given(st.lists(st.lists(u32, min_size=15, max_size=15), max_size=4), st.sampled_from([9, 10, 11, 13, 15]))
def test_softnet_stat(cpus: list[list[int]], columns: int) -> None:
    text = "".join(" ".join(f"{value:08x}" for value in cpu[:columns]) + "\n" for cpu in cpus)
    for row, cpu in zip(softnet_stat.parse(raw(text)), cpus, strict=True):
        assert (row.processed, row.dropped, row.time_squeeze) == tuple(cpu[:3])
        assert row.cpu == (cpu[12] if columns > 12 else None)
        assert row.process_qlen == (cpu[14] if columns > 14 else None)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 50),
            st.integers(0, 10**4),
            st.binary(max_size=60).filter(lambda b: b"\n@ " not in b),
        ),
        max_size=6,
    )
)
def test_series(steps: list[tuple[int, int, bytes]]) -> None:
    number, hundredths, text = 0, 0, b""
    expected: list[tuple[int, float, bytes]] = []
    for more, later, data in steps:
        number += more
        hundredths += later
        whole = data.removeprefix(b"@ ") + b"\n"
        text += b"@ %d %d.%02d\n" % (number, hundredths // 100, hundredths % 100) + whole
        expected.append((number, hundredths / 100, whole))
    assert [(row.n, row.monotonic_s, row.data) for row in series.split(text)] == expected


json_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15)


@given(st.lists(st.tuples(st.integers(1, 2**31), json_names, u64, u64), max_size=4))
def test_ip_link(links: list[tuple[int, str, int, int]]) -> None:
    document = [
        {"ifindex": index, "ifname": name, "stats64": {"rx": {"packets": rx}, "tx": {"dropped": tx}}}
        for index, name, rx, tx in links
    ]
    found = ip_link.parse(json.dumps(document).encode())
    assert [(row.ifindex, row.ifname, row.rx["packets"], row.tx["dropped"]) for row in found] == links


@given(st.lists(st.tuples(json_names, u64, u64), max_size=4))
def test_tc_qdisc(rows: list[tuple[str, int, int]]) -> None:
    document = [{"dev": dev, "kind": "fq", "drops": drops, "qlen": qlen} for dev, drops, qlen in rows]
    assert [(row.dev, row.drops, row.qlen) for row in tc_qdisc.parse(json.dumps(document).encode())] == rows


plain = (
    st.text(string.ascii_letters + string.digits + " ._-", min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
)


@given(st.dictionaries(plain, st.tuples(st.integers(0, 7), u64, u64), max_size=4))
def test_virsh_domstats(domains: dict[str, tuple[int, int, int]]) -> None:
    text = "".join(
        f"Domain: '{name}'\n  state.state={state}\n  state.reason=1\n  net.count=1\n  net.0.name=vnet0\n"
        f"  net.0.rx.pkts={packets}\n  net.0.rx.drop={drops}\n\n"
        for name, (state, packets, drops) in domains.items()
    )
    found = virsh_domstats.parse(raw(text))
    assert {
        name: (row.state, row.interfaces[0].rx_packets, row.interfaces[0].rx_drop)
        for name, row in found.items()
    } == domains


states = st.sampled_from(
    ["running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended", "no state"]
)


@given(st.lists(st.tuples(st.none() | st.integers(1, 10**6), plain, states), max_size=4))
def test_virsh_list(rows: list[tuple[int | None, str, str]]) -> None:
    text = " Id   Name   State\n----------------\n" + "".join(
        f" {'-' if number is None else number}    {name}   {state}\n" for number, name, state in rows
    )
    # a name that ends in a state's words and is followed by one is read from its end
    assert [(row.id, row.name, row.state) for row in virsh_list.parse(raw(text))] == rows


@given(st.dictionaries(st.sampled_from(["id", "fd", "ifname", "mac", "script"]), st.text(max_size=20)))
def test_option_values_of_qemu(values: dict[str, str]) -> None:
    text = "tap" + "".join(f",{key}={value.replace(',', ',,')}" for key, value in values.items())
    assert proc_cmdline.parse_value(text, "type") == {"type": "tap", **values}
    assert proc_cmdline.parse_value(json.dumps(values)) == values


ovs_atoms = st.booleans() | u32 | st.text(max_size=10)


@given(
    st.lists(
        st.tuples(ovs_atoms, st.lists(ovs_atoms), st.dictionaries(st.text(max_size=5), ovs_atoms)), max_size=3
    )
)
def test_ovs(rows: list[tuple[object, list[object], dict[str, object]]]) -> None:
    document = {
        "headings": ["a", "b", "c"],
        "data": [[a, ["set", b], ["map", [list(item) for item in c.items()]]] for a, b, c in rows],
    }
    found = ovs_json.parse(json.dumps(document).encode(), columns=("a",))
    assert [(row["a"], row["b"], row["c"]) for row in found] == rows


events = st.one_of(
    st.builds(
        trace.FreeEvent,
        cpu=st.integers(0, 999),
        time_s=st.integers(0, 10**12).map(lambda us: us / 10**6),
        skbaddr=u64,
        protocol=st.integers(0, 2**16 - 1),
        location=st.sampled_from(["tun_net_xmit+0x2e1/0x500", "ffffffffc03adf1d"]),
        reason=st.none() | st.sampled_from(["FULL_RING", "0x30001"]),
    ),
    st.builds(
        trace.XmitEvent,
        cpu=st.integers(0, 999),
        time_s=st.integers(0, 10**12).map(lambda us: us / 10**6),
        device=device_names.filter(lambda name: not any(char.isspace() for char in name)),
        skbaddr=u64,
        length=u32,
        rc=st.integers(-(2**31), 2**31 - 1),
    ),
)


@given(st.lists(st.tuples(task_names.filter(lambda name: "\n" not in name), events), max_size=5))
def test_trace(rows: list[tuple[str, trace.FreeEvent | trace.XmitEvent]]) -> None:
    text = "@ start 1.00\n# tracer: nop\n"
    for task, event in rows:
        if isinstance(event, trace.FreeEvent):
            reason = "" if event.reason is None else f" reason: {event.reason}"
            what = f"kfree_skb: skbaddr={event.skbaddr:016x} protocol={event.protocol} "
            what += f"location={event.location}{reason}"
        else:
            what = f"net_dev_xmit: dev={event.device} skbaddr={event.skbaddr:016x} "
            what += f"len={event.length} rc={event.rc}"
        text += f"{task:>16}-77    [{event.cpu:03d}] b..1. {event.time_s:12.6f}: {what}\n"
    found = trace.parse(raw(text + "@ stop 2.00\n"))
    assert list(found.events) == [event for _, event in rows]
    assert (found.start_s, found.stop_s) == (1.0, 2.0)
