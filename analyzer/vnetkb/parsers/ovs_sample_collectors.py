# SPDX-License-Identifier: Apache-2.0
"""`ovs-vsctl --format=json list Flow_Sample_Collector_Set`; see ovs-vswitchd.conf.db(5) for the columns."""

from vnetkb.parsers.ovs_json import parse

__all__ = ["parse"]
