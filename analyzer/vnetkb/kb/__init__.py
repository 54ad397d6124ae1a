# SPDX-License-Identifier: Apache-2.0
"""The knowledge base: counters, code sites, behaviours, facts, rules, remedies, captures, harm.

`vnetkb.kb.load.load_kb` reads it, `vnetkb.kb.model` says what it holds, `vnetkb.kb.lint.lint_kb` checks it,
`vnetkb.kb.explain.explain` looks things up, `vnetkb.kb.verify` holds it against kernel source.
"""
