# SPDX-License-Identifier: Apache-2.0
# Read before every step of a scenario: the VM, its threads by name as the kernel shows them, and short words.
: "${TAP:=vnet0}" "${VM:=web01}" "${ADDRESS:=10.77.0.2}" "${BRIDGE:=br0}" "${LAN:=lan0}"
read -r QEMU 2>/dev/null <"/run/$VM.pid" || QEMU=
# Up to Linux 6.3 the vhost worker is a kernel thread, since then a thread of QEMU.
worker() { grep -lsx "vhost-$QEMU" /proc/[0-9]*/comm "/proc/$QEMU"/task/*/comm | sed 's,/comm$,,; s,.*/,,' | sort -un; }
vcpu() { grep -ls '^CPU ' "/proc/$QEMU"/task/*/comm | sed 's,/comm$,,; s,.*/,,' | sort -n; }
qmp() { python3 /lab/qmp.py "/run/$VM.qmp" "$@"; }
guest() { python3 /lab/guest.py "/run/$VM.serial" "$1"; }
dropped() { cat "/sys/class/net/$TAP/statistics/tx_dropped"; }
# A sender: NAME ADDRESS PACKETS_PER_S BURST BYTES FLOWS.
send() { (sent=/run/$VM.sent.$1; shift; exec setsid ip netns exec lan /lab/send "$@" "$sent" >/dev/null 2>&1 </dev/null) & }
# A real-time task that keeps a CPU busy, until unhog.
hog() { (exec setsid taskset -c "$1" chrt -f 10 sh -c 'while :; do :; done' >/dev/null 2>&1 </dev/null) & echo $! >/run/hog; }
unhog() { kill "$(cat /run/hog)"; }
