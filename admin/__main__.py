"""`python -m admin serve`"""

import os
import sys

from admin.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
