#!/bin/sh
# Compile the C programs. usage: build.sh DIRECTORY (the path shows in the records)
set -eu
cd "$(dirname "$0")"
bin=${1:?directory for the programs}
mkdir -p "$bin"
for source in *.c; do
    [ "$bin/${source%.c}" -nt "$source" ] || gcc -O1 -w -o "$bin/${source%.c}" "$source" -lrt
done
[ "$bin/foreign32" -nt foreign.c ] || gcc -m32 -static -O1 -w -o "$bin/foreign32" foreign.c 2>/dev/null ||
    echo "build.sh: no 32-bit compiler (Debian: gcc-multilib); foreign32 left out" >&2
