"""``python -m distil`` runs the command ``distil``."""

import sys

from distil.cli import main

sys.exit(main())
