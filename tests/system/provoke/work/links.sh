#!/bin/bash
# What the sticky-directory protections refuse: ANOM_LINK (a link followed or made), ANOM_CREAT (a file or FIFO opened
# with O_CREAT). The fs.protected_* settings are put back.
names=(protected_symlinks protected_hardlinks protected_fifos protected_regular)
declare -A before
for name in "${names[@]}"; do before[$name]=$(sysctl -n fs.$name); done
dir=$(mktemp -d /tmp/provoke-links.XXXXXX); chmod 1777 "$dir"
back() { for name in "${names[@]}"; do sysctl -qw fs.$name="${before[$name]}"; done; rm -rf "$dir"; }
trap back EXIT
sysctl -qw fs.protected_symlinks=1 fs.protected_hardlinks=1 fs.protected_fifos=2 fs.protected_regular=2
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
as alice ln -s /etc/hostname "$dir/a link"
as bob cat "$dir/a link"
as bob ln /etc/shadow "$dir/hard"
as alice sh -c "echo hello >'$dir/file'; chmod 666 '$dir/file'; mkfifo -m 666 '$dir/fifo'"
as bob sh -c "echo more >'$dir/file'"
as bob python3 -I -c 'import os, sys; os.open(sys.argv[1], os.O_CREAT | os.O_RDWR | os.O_NONBLOCK)' "$dir/fifo" 2>/dev/null
true
