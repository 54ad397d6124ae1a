# SPDX-License-Identifier: Apache-2.0
"""`python -m vnetkb` is the same program as the `vnetkb` command."""

import sys

from vnetkb.cli import main

if __name__ == "__main__":
    sys.exit(main())
