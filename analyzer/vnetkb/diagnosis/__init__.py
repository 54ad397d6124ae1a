# SPDX-License-Identifier: Apache-2.0
"""Diagnosis: facts held against rules. Knows no capture, no device name, no kernel string."""

from vnetkb.diagnosis.engine import diagnose
from vnetkb.diagnosis.model import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
