"""``python -m distil`` is the command ``distil``."""

import sys

from distil.cli import main

sys.exit(main())
