# SPDX-License-Identifier: Apache-2.0
"""Masking: names and addresses become pseudonyms, and the result is searched for what is left of them.

The same scheme as ``vnetkb-collect --mask``: equal things stay equal, subnets stay subnets, and the map from
pseudonyms to names stays with whoever masks.
"""

from vnetkb.privacy.redact import Masked, mask_bundle

__all__ = ["Masked", "mask_bundle"]
