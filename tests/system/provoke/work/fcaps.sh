#!/bin/bash
# Programs with file capabilities and set-uid bits started by a person (BPRM_FCAPS), and the attribute set.
dir=$(mktemp -d /tmp/provoke-fcaps.XXXXXX); chmod 755 "$dir"
cp /bin/true "$dir/capable"; cp /bin/true "$dir/setuid"
setcap cap_net_raw,cap_kill+ep "$dir/capable"
chmod 4755 "$dir/setuid"
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
as bob "$dir/capable"
as bob "$dir/setuid"
as bob setpriv --no-new-privs "$dir/capable"
setcap 'cap_sys_admin=ie' "$dir/capable"
as bob "$dir/capable"
setcap -r "$dir/capable"
as bob setcap cap_net_raw+ep "$dir/capable" 2>/dev/null
rm -r "$dir"
