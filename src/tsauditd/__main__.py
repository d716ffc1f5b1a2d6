"""Lets `python -m tsauditd` do what the command `tsauditd` does."""

import sys

from tsauditd.cli import main

if __name__ == "__main__":
    sys.exit(main())
