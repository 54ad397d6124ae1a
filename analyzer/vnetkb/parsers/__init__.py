# SPDX-License-Identifier: Apache-2.0
"""One module for each kind of text that a capture can hold: bytes in, plain typed rows out.

Parsers open no file and judge nothing. A layout they do not know raises
:class:`vnetkb.parsers.errors.ParseError`; extra keys and lines are passed over where the format is known to
grow. What the text does not say is ``None``, never zero. Bytes are read as UTF-8 with ``surrogateescape``, so
that any name survives a round trip.
"""
