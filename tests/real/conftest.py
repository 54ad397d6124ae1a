# SPDX-License-Identifier: Apache-2.0
"""The fixtures and hooks of this folder, from plays.py, where mypy can tell them from other conftests."""

from plays import analyze, played, plays, pytest_collection_modifyitems

__all__ = ["analyze", "played", "plays", "pytest_collection_modifyitems"]
