"""`python -m txserver`."""

import sys

from txserver.cli import main

sys.exit(main())
