#!/bin/bash
# Real logins over a link of two network namespaces: password, wrong password, unknown user, key, a command, scp,
# a terminal, root refused. alice and bob come from people.sh.
set -u
home=$(mktemp -d /tmp/provoke-ssh.XXXXXX)
down() {
    kill "$sshd" 2>/dev/null; wait "$sshd" 2>/dev/null
    ip netns del tsa-server; ip netns del tsa-client; rm -rf "$home"
}
trap down EXIT
mkdir -p /run/sshd
ip netns add tsa-server; ip netns add tsa-client
ip link add tsa-veth0 netns tsa-server type veth peer name tsa-veth1 netns tsa-client
ip -n tsa-server addr add 203.0.113.1/24 dev tsa-veth0; ip -n tsa-server addr add 2001:db8::1/64 dev tsa-veth0 nodad
ip -n tsa-client addr add 203.0.113.10/24 dev tsa-veth1; ip -n tsa-client addr add 2001:db8::10/64 dev tsa-veth1 nodad
for ns in server client; do ip -n tsa-$ns link set lo up; done
ip -n tsa-server link set tsa-veth0 up; ip -n tsa-client link set tsa-veth1 up
ssh-keygen -q -t ed25519 -N '' -C provoke -f "$home/host"; ssh-keygen -q -t ed25519 -N '' -C provoke -f "$home/key"
chmod 755 "$home"; cp "$home/key.pub" "$home/authorized"; chmod 644 "$home/authorized"
cat >"$home/config" <<CONFIG
Port 22
ListenAddress 203.0.113.1
ListenAddress 2001:db8::1
HostKey $home/host
PidFile none
UsePAM yes
StrictModes no
UseDNS no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin no
PrintMotd no
AuthorizedKeysFile $home/authorized
Subsystem sftp /usr/lib/openssh/sftp-server
CONFIG
ip netns exec tsa-server /usr/sbin/sshd -D -f "$home/config" -E "$home/log" & sshd=$!
for _ in $(seq 100); do ip netns exec tsa-client bash -c ': </dev/tcp/203.0.113.1/22' 2>/dev/null && break; sleep 0.05; done
options=(-F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
client() { ip netns exec tsa-client "$@"; }
word() { client sshpass -p "$1" ssh "${options[@]}" -o PreferredAuthentications=password -o NumberOfPasswordPrompts=1 "${@:2}"; }
key=(-i "$home/key" -o IdentitiesOnly=yes)
word alice-pass alice@203.0.113.1 'id; ls /'
word wrong alice@203.0.113.1 true
word wrong nobody-here@203.0.113.1 true
word wrong 'we ird@203.0.113.1' true
word wrong root@203.0.113.1 true
client ssh "${options[@]}" "${key[@]}" alice@2001:db8::1 'echo over six'
client scp -q "${options[@]}" "${key[@]}" /etc/hostname alice@203.0.113.1:/tmp/provoke-copied
client scp -O -q "${options[@]}" "${key[@]}" alice@203.0.113.1:/tmp/provoke-copied "$home/back"
printf 'tty\nwhoami\nrm -f /tmp/provoke-copied\nexit\n' | client ssh -tt "${options[@]}" "${key[@]}" alice@203.0.113.1
client ssh "${options[@]}" "${key[@]}" bob@203.0.113.1 'exit 3'
sleep 0.3
true
