"""Call the command line: `python -m evalib`."""

import sys

from evalib.tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
