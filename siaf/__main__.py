"""`python -m siaf` is the `siaf` command."""

import sys

from siaf.cli import main

sys.exit(main())
