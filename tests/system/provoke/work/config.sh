#!/bin/bash
# The audit configuration changed: rules of each kind, watches, trees, settings, features, refusals (CONFIG_CHANGE,
# FEATURE_CHANGE, EVENT_LISTENER), messages by auditctl -m. Every rule is narrowed and taken away by capture.py.
dir=$(mktemp -d /tmp/provoke-config.XXXXXX); mkdir -p "$dir/tree/sub" "$dir/gone"; : >"$dir/file"
auditctl -a always,exit -F arch=b64 -S openat -F auid=4242 -F path="$dir/file" -k two-words -k second
auditctl -a always,exit -F arch=b64 -S openat -F auid=4242 -F path="$dir/file" -k again -k second
auditctl -a always,exit -F arch=b64 -S openat -F auid=4242 -F path="$dir/file" -k again -k second   # exists: refused
auditctl -w "$dir/file" -p wa -k 'watch key'
auditctl -w "$dir/tree" -p rwxa -k tree
auditctl -a never,user -F uid=4243
auditctl -a never,exclude -F msgtype=CWD -F auid=4243
auditctl -a never,task -F uid=4243
auditctl -a never,filesystem -F fstype=0x64626720
auditctl -a always,io_uring -S unlinkat -F auid=4243
auditctl -a always,exit -F exe=/nothing/here -S all -F auid=4243
auditctl -q "$dir,$dir/tree"
auditctl -d always,exit -F arch=b64 -S openat -F auid=4242 -F path="$dir/file" -k two-words -k second
auditctl -d always,exit -F arch=b64 -S rmdir -F auid=4243                                              # absent: refused
mv "$dir/file" "$dir/file2"; echo new >"$dir/file"                                                 # the watch follows the name
rm -r "$dir/tree"                                                                                  # the tree's rule goes
auditctl -t
auditctl -b 16384
auditctl -r 0
auditctl -f 1
auditctl --backlog_wait_time 15000
auditctl --reset-lost >/dev/null
auditctl --reset_backlog_wait_time_actual >/dev/null
auditctl -m 'plain message'
auditctl -m "with key=value and 'quotes' \"both\""
auditctl -m 'café'
python3 -I "$(dirname "$0")/config_calls.py"
auditctl -D -k second >/dev/null
rm -rf "$dir"
true
