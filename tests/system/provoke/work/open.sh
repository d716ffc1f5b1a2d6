#!/bin/sh
# Opens that succeed and fail, and what changes names, modes, owners and attributes.
cd "$(mktemp -d /tmp/provoke-open.XXXXXX)"
cat /etc/hostname >/dev/null
cat nothing-here 2>/dev/null
cat /etc/shadow 2>/dev/null                     # EACCES
cat /etc/passwd/below 2>/dev/null               # ENOTDIR
echo one >file
echo two >>file
mkdir -p sub/dir
mv file sub/renamed
ln sub/renamed hard
ln -s sub/renamed soft
cat soft >/dev/null
chmod 0640 hard
chmod u+s hard
chown :"$(id -g)" hard
chown root hard 2>/dev/null                     # EPERM
touch -d '2001-02-03' hard
truncate -s 3 hard
setfattr -n user.note -v text hard
setfattr -x user.note hard
rm hard soft
rmdir sub 2>/dev/null                           # ENOTEMPTY
rm -r sub
mkfifo pipe
rm pipe
rmdir "$PWD"
