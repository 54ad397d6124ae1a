# SPDX-License-Identifier: Apache-2.0
"""Threads: what they are, how they ran, where they sleep, which limits hold them."""

from collections.abc import Callable

import pytest

from vnetkb.parsers import (
    cgroup_cpu,
    proc_fd,
    proc_ns,
    proc_status,
    task_cgroup,
    task_schedstat,
    task_stat,
    task_wchan,
    tun_fdinfo,
)
from vnetkb.parsers.errors import ParseError

Captured = Callable[[str], bytes]


def test_schedstat_gives_nanoseconds_by_thread(captured: Captured) -> None:
    rows = task_schedstat.parse(captured("linux-6.1/task-schedstat"))
    assert rows[113] == (113, 3624581014, 10943853044, 562)
    assert rows[115].run_ns == 6249604


def test_schedstat_of_a_vhost_worker_belongs_to_its_owner_since_6_4(captured: Captured) -> None:
    assert task_schedstat.parse(captured("linux-6.12/task-schedstat"))[167].pid == 165


def test_schedstat_reads_only_what_is_wanted(captured: Captured) -> None:
    text = captured("libvirt-9.0/task-schedstat")
    every = task_schedstat.parse(text)
    some = set(list(every)[1:3])
    assert task_schedstat.parse(text, only_tids=some) == {tid: every[tid] for tid in some}
    assert task_schedstat.parse(text, only_tids=()) == {}
    # a thread whose number ends like a wanted one is another thread
    assert task_schedstat.parse(text, only_tids=[int(str(tid)[1:]) for tid in some]) == {}


def test_schedstat_is_found_below_any_root() -> None:
    assert list(task_schedstat.parse(b"/some/root-1/proc/7/task/8/schedstat:1 2 3\n", only_tids=[8])) == [8]


@pytest.mark.parametrize(
    "text", [b"/proc/1/task/1/schedstat:1 2\n", b"/proc/1/schedstat:1 2 3\n", b"1 2 3\n"]
)
def test_schedstat_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        task_schedstat.parse(text)


def test_stat_gives_names_states_and_times(captured: Captured) -> None:
    rows = task_stat.parse(captured("linux-6.1/task-stat"))
    play, worker = rows[113], rows[115]
    assert (play.comm, play.state, play.ppid, play.utime_ticks, play.stime_ticks) == ("play", "R", 1, 326, 62)
    assert (worker.comm, worker.state, worker.processor, worker.starttime_ticks) == ("vhost-113", "S", 1, 721)
    assert worker.is_kthread
    assert not play.is_kthread


def test_stat_of_qemu_threads_with_blanks_in_their_names(captured: Captured) -> None:
    rows = task_stat.parse(captured("libvirt-9.0/task-stat"))
    assert {row.comm for row in rows.values()} >= {
        "qemu-system-x86",
        "CPU 0/TCG",
        "CPU 1/TCG",
        "IO mon_iothread",
    }


@pytest.mark.parametrize("name", ["a) R 1 (b", "a\nb", "(", ")", ""])
def test_stat_survives_any_name_of_a_thread(captured: Captured, name: str) -> None:
    path, _, rest = captured("linux-6.1/task-stat").decode().split("\n")[0].partition(":")
    head, _, tail = rest.partition("(play)")
    text = "".join(f"{path}:{line}\n" for line in f"{head}({name}){tail}".split("\n"))
    (row,) = task_stat.parse(text.encode()).values()
    assert (row.comm, row.state, row.utime_ticks) == (name, "R", 326)


@pytest.mark.parametrize(
    "change", [(" R 1 ", " RR 1 "), (" -1 4194560", " -1 x"), (" 661 1036288 ", " "), ("(play)", "play")]
)
def test_stat_refuses_another_layout(captured: Captured, change: tuple[str, str]) -> None:
    line = captured("linux-6.1/task-stat").decode().split("\n")[0]
    assert change[0] in line
    short = line.replace(*change)
    if change[1] == " ":
        short = short[: short.index(" 175 ")]
    with pytest.raises(ParseError):
        task_stat.parse(short.encode())


def test_wchan_is_unknown_where_the_kernel_prints_0(captured: Captured) -> None:
    assert task_wchan.parse(captured("linux-6.1/task-wchan")) == {113: None, 115: "vhost_worker"}
    assert task_wchan.parse(captured("linux-6.12/task-wchan"))[167] == "vhost_task_fn"


def test_status_gives_state_and_affinity_and_leaves_the_rest_open(captured: Captured) -> None:
    rows = proc_status.parse(captured("linux-6.1/proc-status"))
    play = rows[113]
    assert (play.pid, play.name, play.state, play.cpus_allowed_list) == (113, "play", "R", "0-1")
    assert (play.voluntary_switches, play.nonvoluntary_switches) == (159, 416)
    assert play.tgid is None
    assert rows[115].name == "vhost-113"


def test_status_undoes_the_kernels_escapes_in_names() -> None:
    text = b"/proc/1/task/2/status:Name:\ta\\nb\\\\c\\011d\n/proc/1/task/2/status:State:\tT (stopped)\n"
    row = proc_status.parse(text)[2]
    assert (row.name, row.state) == ("a\nb\\c\td", "T")


@pytest.mark.parametrize(
    "text", [b"State:\tR\n", b"/proc/1/task/2/status:State:\n", b"/proc/1/task/2/status:Tgid:\tx\n"]
)
def test_status_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        proc_status.parse(text)


def test_fdinfo_names_the_tap_of_each_queue_a_detached_one_too(captured: Captured) -> None:
    rows = tun_fdinfo.parse(captured("linux-6.1/tun-fdinfo"))
    assert [(row.pid, row.fd, row.device) for row in rows] == [
        (113, 3, "vnet0"),
        (113, 4, "vnet1"),
        (113, 5, "vnet1"),
    ]


def test_fdinfo_of_a_file_without_a_device_and_of_an_odd_name() -> None:
    rows = tun_fdinfo.parse(b"/proc/1/fdinfo/3:iff:\t\n/proc/1/fdinfo/4:iff:\ta:b iff:\xff\n")
    assert [row.device for row in rows] == [None, "a:b iff:\udcff"]


def test_open_files_by_process(captured: Captured) -> None:
    rows = proc_fd.parse(captured("linux-6.1/proc-fd"))
    assert [(row.fd, row.target) for row in rows][-2:] == [(5, "/dev/net/tun"), (6, "/dev/vhost-net")]
    long_form = b"lrwx------ 1 0 0 64 Nov 22 15:58 /proc/9/fd/12 -> /a -> b (deleted)\n"
    assert proc_fd.parse(long_form) == [proc_fd.FdTarget(9, 12, "/a -> b (deleted)")]


def test_network_namespaces(captured: Captured) -> None:
    rows = proc_ns.parse(captured("linux-6.1/proc-ns"))
    assert rows == {"113": 4026531840, "115": 4026531840, "self": 4026531840}


@pytest.mark.parametrize("parser", [tun_fdinfo, proc_fd, proc_ns, task_wchan, task_cgroup, cgroup_cpu])
def test_lines_of_another_kind_are_refused(parser: object) -> None:
    with pytest.raises(ParseError, match="line 1"):
        parser.parse(b"something else\n")  # type: ignore[attr-defined]


def test_cgroups_of_version_2(captured: Captured) -> None:
    assert task_cgroup.parse(captured("linux-6.1/task-cgroup"))[113] == {"": "/machine.slice"}
    groups = cgroup_cpu.parse(captured("linux-6.1/cgroup-cpu"))
    limited = groups["/machine.slice"]
    assert (limited.nr_periods, limited.nr_throttled, limited.throttled_us) == (241, 237, 15086771)
    assert (limited.quota_us, limited.period_us, limited.weight, limited.cpus) == (20000, 100000, 100, "0-1")
    assert limited.frozen is False
    assert limited.pressure_some_us == 8966852
    assert groups["/"].period_us is None


def test_cgroups_of_version_1_count_in_nanoseconds_and_are_given_in_microseconds(captured: Captured) -> None:
    (row,) = task_cgroup.parse(captured("cgroup-v1/task-cgroup")).values()
    groups = cgroup_cpu.parse(captured("cgroup-v1/cgroup-cpu"))
    limited = groups[row["cpu"]]
    assert (limited.nr_throttled, limited.throttled_us, limited.quota_us) == (27, 2997379, 20000)
    above = groups["/machine.slice"]
    # a quota of -1 is no limit, and a known period says that this is known
    assert (above.quota_us, above.period_us, above.shares) == (None, 100000, 1024)
    assert groups["/"].cpus == "0-1"


def test_cgroups_of_joined_controllers_and_names_with_colons() -> None:
    rows = task_cgroup.parse(b"/proc/1/task/2/cgroup:4:cpu,cpuacct:/a:b/c\n")
    assert rows == {2: {"cpu": "/a:b/c", "cpuacct": "/a:b/c"}}
    text = b"/sys/fs/cgroup/cpu,cpuacct/a:b/c/cpu.shares:512\n"
    assert cgroup_cpu.parse(text)["/a:b/c"].shares == 512


def test_no_limit_in_version_2_is_known_to_be_none() -> None:
    row = cgroup_cpu.parse(b"/sys/fs/cgroup/x/cpu.max:max 100000\n")["/x"]
    assert (row.quota_us, row.period_us) == (None, 100000)


def test_cpus_in_effect_count_in_whatever_order_the_files_come() -> None:
    lines = [
        b"/sys/fs/cgroup/cpuset/a/cpuset.cpus:0-7\n",
        b"/sys/fs/cgroup/cpuset/a/cpuset.effective_cpus:2\n",
    ]
    for text in (b"".join(lines), b"".join(reversed(lines))):
        assert cgroup_cpu.parse(text)["/a"].cpus == "2"
