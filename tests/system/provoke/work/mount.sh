#!/bin/sh
# Mounts of the old and the new kind in a mount namespace of its own; modules refused.
exec unshare -m --propagation private sh -c '
dir=$(mktemp -d /tmp/provoke-mount.XXXXXX)
mkdir "$dir/a b" "$dir/c"
mount -t tmpfs -o nosuid,nodev,noexec,size=1m provoke "$dir/a b"
mount --bind /etc "$dir/c"
mount -o remount,bind,ro "$dir/c"
mount --make-rshared "$dir/c"
mount --move "$dir/a b" "$dir/c" 2>/dev/null
mount -t nothing none "$dir/c" 2>/dev/null
umount "$dir/a b"
umount -l "$dir/c"
umount "$dir/c" 2>/dev/null
python3 -I "$0" "$dir/c"
modprobe nothing-here 2>/dev/null
rm -r "$dir"
swapon /nothing-here 2>/dev/null
true
' "$(dirname "$0")/mount_calls.py"
