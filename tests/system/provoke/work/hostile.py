"""Names meant to mislead a reader of logs: in paths, programs, arguments, directories, links and comm."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile

NAMES = (
    b"new\nline type=SYSCALL msg=audit(1.000:1): forged=1",
    b'quote" uid=0 "',
    b"single' res=success'",
    b"esc\x1b[2J\x1b]0;title\x07",
    b"invalid-\xff\xfe-utf8",
    b"\xe2\x80\xaertl-\xe2\x81\xa6mark",
    b"DEADBEEF",
    b"CAFE",
    b"beef",
    b"0x41",
    b"embedded space",
    b" leading",
    b"trailing ",
    b"tab\there",
    b"back\\slash",
    b"equals=sign,comma",
    b"(null)",
    b"(none)",
    b"?",
    b"-",
    b"\x01\x02\x1d",
    b"caf\xc3\xa9 \xf0\x9f\x90\x9a",
    b"\xed\xa0\x80surrogate",
    b"%s%n%d",
    b"<script>alert(1)<!--",
    b"{{7*7}}${x}",
    b"x" * 255,
    b"\xc3\xa9" * 127,
)
directory = os.fsencode(tempfile.mkdtemp(prefix="provoke-", dir="/tmp"))
for name in NAMES:
    path = os.path.join(directory, name)
    shutil.copy(b"/bin/true", path)
    subprocess.run([path, name], check=False)
    os.unlink(path)
    os.mkdir(path)
    os.chdir(path)
    with contextlib.suppress(OSError):
        os.open(b"../absent-" + name[:200], os.O_RDONLY)
    os.chdir(directory)
    os.rmdir(path)
    ctypes.CDLL(None).prctl(15, name[:15], 0, 0, 0)  # PR_SET_NAME
    with contextlib.suppress(OSError):
        os.open(b"absent", os.O_RDONLY)
with contextlib.suppress(OSError):
    os.open(b"d/" * 2040 + b"deep", os.O_RDONLY)
with contextlib.suppress(OSError):
    os.open(b"y" * 4096, os.O_RDONLY)
ctypes.CDLL(None).open(None, 0)  # EFAULT: the name is (null)
subprocess.run(["/bin/true", *NAMES[:14]], check=False)
os.chdir("/")
os.rmdir(directory)
