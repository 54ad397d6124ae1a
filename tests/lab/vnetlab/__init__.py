# SPDX-License-Identifier: Apache-2.0
"""The lab: machines with real kernels, in them a VM on a vnet, and causes of loss made on purpose."""
