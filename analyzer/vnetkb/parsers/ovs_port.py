# SPDX-License-Identifier: Apache-2.0
"""`ovs-vsctl --format=json list Port`; the columns are described in ovs-vswitchd.conf.db(5)."""

from typing import Any

from vnetkb.parsers import ovs_json


def parse(data: bytes) -> list[dict[str, Any]]:
    """Return the rows by column name.

    Raises:
        ParseError: The text is not this table, or lacks the columns by which its rows are joined.
    """
    return ovs_json.parse(data, ("_uuid", "interfaces"))
