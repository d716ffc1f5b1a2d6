"""execve near its limits: an argument of 128 KB, one told in hex, 20,000 of them, 2 MB in all, empty ones."""

import subprocess

TRUE = "/bin/true"
LONGEST = 128 * 1024 - 1  # MAX_ARG_STRLEN with its NUL
subprocess.run([TRUE, "x" * LONGEST], check=True)
subprocess.run([TRUE, "before", "two words " * 10_000, "after"], check=True)
subprocess.run([TRUE, *(str(number) for number in range(20_000))], check=True)
subprocess.run([TRUE, *("y" * LONGEST for _ in range(15)), "z" * 60_000], check=True)
subprocess.run([TRUE, *("" for _ in range(300))], check=True)
subprocess.run(
    [TRUE, "a" * 7499, "b" * 7500, "c" * 7501, " " * 3750, " " * 3751], check=True
)  # the split's edges
