# SPDX-License-Identifier: Apache-2.0
"""vnetkb: find out where, why and how badly a VM's virtual network port loses packets."""

__version__ = "0.1.0"
