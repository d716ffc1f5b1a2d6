#!/bin/sh
# Commands run by a person: plain, failing, through a shell, a pipe, a script, with a key in two parts.
cd /tmp
/bin/ls -l /etc/hostname
/usr/bin/env GREETING=hello sh -c 'echo "$GREETING world" | /usr/bin/tr a-z A-Z'
/usr/bin/nothing-here 2>/dev/null
/etc/passwd 2>/dev/null
python3 -I -c 'import os; os.execve(os.open("/bin/true", os.O_RDONLY), ["true", ""], {})'
/usr/bin/printf '%s\n' '' ' ' 'two words' "it's" 'say "hi"' 'tab	here' 'DEADBEEF' '日本' >/dev/null
true
