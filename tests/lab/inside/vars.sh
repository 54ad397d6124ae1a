# SPDX-License-Identifier: Apache-2.0
# Read before every step of a scenario: the threads of the VM by name, as the kernel shows them.
QEMU=$(cat /run/web01.pid)
# Up to Linux 6.3 the vhost worker is a kernel thread, since then a thread of QEMU.
WORKER=$(grep -lsx "vhost-$QEMU" /proc/[0-9]*/comm "/proc/$QEMU"/task/*/comm | sed 's,/comm$,,; s,.*/,,' | sort -un)
VCPU=$(grep -ls '^CPU ' "/proc/$QEMU"/task/*/comm | sed 's,/comm$,,; s,.*/,,' | sort -n)
TAP=vnet0
qmp() { python3 /lab/qmp.py /run/web01.qmp "$@"; }
guest() { python3 /lab/guest.py /run/web01.serial "$1"; }
dropped() { cat /sys/class/net/$TAP/statistics/tx_dropped; }
