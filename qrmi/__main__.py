"""``python -m qrmi``: the ``qrmi`` command."""

from __future__ import annotations

import sys

from qrmi.cli.main import main

sys.exit(main())
