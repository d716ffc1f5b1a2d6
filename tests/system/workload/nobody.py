"""Becomes user 65534 with the capabilities of these numbers, and none that is not named, and runs tsauditd.

nobody.py NUMBER,NUMBER... PYTHON -m tsauditd WORDS...

It stays this process: where Python and its modules are may be root's alone, so all are read before.
"""

import codecs
import ctypes
import importlib
import os
import pkgutil
import sys

import tsauditd
from tsauditd.cli import main

NOBODY = 65534
PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 4, 8
"""prctl(2). As dumpable as a program that was started so."""
VERSION_3 = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3 (capset(2)): three words of 32 bits, then the same of the capabilities from 32 on."""


def checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "the capabilities cannot be kept")


for module in pkgutil.walk_packages(tsauditd.__path__, "tsauditd."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for encoding in ("ascii", "latin-1", "idna"):
    codecs.lookup(encoding)
kept = sum(1 << int(number) for number in sys.argv[1].split(","))
libc = ctypes.CDLL(None, use_errno=True)
checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
os.setgroups([])
os.setresgid(NOBODY, NOBODY, NOBODY)
os.setresuid(NOBODY, NOBODY, NOBODY)
low, high = kept & 0xFFFFFFFF, kept >> 32
checked(libc.capset((ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)))
checked(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
words = sys.argv[2:]
assert words[1:3] == ["-m", "tsauditd"]
sys.exit(main(words[3:]))
