"""`python -m supatoss`: the command `supatoss`, for where no script is on the PATH."""

import sys

from supatoss.cli import main

if __name__ == "__main__":
    sys.exit(main())
