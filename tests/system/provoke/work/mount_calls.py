"""fsopen, fsconfig, fsmount, move_mount, open_tree, mount_setattr, pivot_root and umount2 by number (x86_64)."""

import ctypes
import os
import sys

libc = ctypes.CDLL(None)
target = sys.argv[1].encode()
AT_FDCWD = -100
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
PIVOT_ROOT, UMOUNT2, SWAPOFF, INIT_MODULE, FINIT_MODULE, DELETE_MODULE = 155, 166, 168, 175, 313, 176

context = libc.syscall(FSOPEN, b"tmpfs", 1)
libc.syscall(FSCONFIG, context, 1, b"size", b"1m", 0)
libc.syscall(FSCONFIG, context, 6, None, None, 0)
mount = libc.syscall(FSMOUNT, context, 1, 0x1 | 0x8)
libc.syscall(MOVE_MOUNT, mount, b"", AT_FDCWD, target, 4)
tree = libc.syscall(OPEN_TREE, AT_FDCWD, target, 1 | os.O_CLOEXEC)
libc.syscall(MOUNT_SETATTR, tree, b"", 0x1000, (ctypes.c_uint64 * 4)(1, 0, 0, 0), 32)
libc.syscall(PIVOT_ROOT, target, b"/nothing")
libc.syscall(UMOUNT2, target, 2 | 8)
libc.syscall(SWAPOFF, b"/nothing-here")
libc.syscall(INIT_MODULE, b"not a module", 12, b"")
libc.syscall(FINIT_MODULE, 0, b"param=1", 1)
libc.syscall(DELETE_MODULE, b"provoke", os.O_NONBLOCK)
