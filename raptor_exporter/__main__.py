"""``python -m raptor_exporter``."""

import sys

from raptor_exporter.cli import main

if __name__ == "__main__":
    sys.exit(main())
