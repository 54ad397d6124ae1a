# SPDX-License-Identifier: Apache-2.0
"""`ovs-vsctl --format=json list IPFIX`; the columns are described in ovs-vswitchd.conf.db(5)."""

from vnetkb.parsers.ovs_json import parse

__all__ = ["parse"]
