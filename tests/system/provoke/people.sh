#!/bin/sh
# People for the captures: alice (may use sudo) and bob (may not). Throw-away passwords, removed afterwards.
# usage: people.sh add|remove
set -eu
case "${1:?add or remove}" in
add)
    for who in alice:4242 bob:4243; do
        [ "$(id -u "${who%:*}" 2>/dev/null)" = "${who#*:}" ] && continue  # left by a run that was killed
        if getent passwd "${who%:*}" >/dev/null; then
            echo "people.sh: a user ${who%:*} exists already; captures would change it" >&2
            exit 1
        fi
        groupadd -g "${who#*:}" "${who%:*}"
        useradd -m -u "${who#*:}" -g "${who#*:}" -s /bin/bash "${who%:*}"
        printf '%s:%s-pass\n' "${who%:*}" "${who%:*}" | chpasswd
    done
    printf 'alice ALL=(ALL) NOPASSWD: ALL\n' >/etc/sudoers.d/tsauditd-provoke
    chmod 0440 /etc/sudoers.d/tsauditd-provoke
    ;;
remove)
    rm -f /etc/sudoers.d/tsauditd-provoke
    for who in alice bob; do
        [ "$(id -u "$who" 2>/dev/null)" = 4242 ] || [ "$(id -u "$who" 2>/dev/null)" = 4243 ] || continue
        userdel -r "$who" 2>/dev/null || true
    done
    for who in alice bob; do groupdel "$who" 2>/dev/null || true; done
    ;;
esac
