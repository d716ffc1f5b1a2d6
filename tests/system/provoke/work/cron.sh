#!/bin/sh
# Debian's cron with a crontab of our own, hidden from the machine's in a mount namespace; an @reboot job runs at once.
exec unshare -m --propagation private sh -c '
dir=$(mktemp -d /tmp/provoke-cron.XXXXXX)
mkdir "$dir/cron.d" "$dir/tabs" "$dir/run"
printf "@reboot alice /usr/bin/id >/dev/null\n" >"$dir/tab"
mount --bind "$dir/tab" /etc/crontab
mount --bind "$dir/cron.d" /etc/cron.d
mount --bind "$dir/tabs" /var/spool/cron/crontabs
mount -t tmpfs none /run
/usr/sbin/cron -f & cron=$!
sleep 2
kill $cron
wait $cron
umount /etc/crontab
rm -rf "$dir"
true
'
