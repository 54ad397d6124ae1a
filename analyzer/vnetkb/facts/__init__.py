# SPDX-License-Identifier: Apache-2.0
"""Facts: rows of all snapshots and samples turned into topology and typed values. No thresholds here."""

from vnetkb.facts.build import build
from vnetkb.facts.model import Fact, FactSource, Notice, Observation, Observations, Subject, Symptom, Witness

__all__ = [
    "Fact",
    "FactSource",
    "Notice",
    "Observation",
    "Observations",
    "Subject",
    "Symptom",
    "Witness",
    "build",
]
