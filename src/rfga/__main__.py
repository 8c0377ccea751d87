"""``python -m rfga``: the same as the command ``rfga``."""

import sys

from rfga.cli import main

sys.exit(main())
