"""Call the command line: `python -m evalib`."""

import sys

if not sys.flags.safe_path:  # a `random.py` in the current folder must not shadow the library's
    sys.path.append(sys.path.pop(0))

from evalib.tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
