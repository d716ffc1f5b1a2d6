"""What programs say of themselves through libaudit, in the words that the real ones use, one of many types.

The kernel stamps them and adds who sent them; the text in msg='...' is ours. Types that no program on this
machine sends (SERVICE_START without systemd, CRYPTO_* outside Fedora's OpenSSH, VIRT_* ...) are shown so.
"""

import ctypes
import socket
import struct

libaudit = ctypes.CDLL("libaudit.so.1")
audit = libaudit.audit_open()
UNIT = 'unit=provoke comm="systemd" exe="/usr/lib/systemd/systemd"'
TAIL = "hostname=? addr=? terminal=? res=success"
KVM = 'vm="guest one" uuid=5ac9d7a4-8f5a-4c1e-9f9a-0a4d1f0c1d11'
RAW = {  # audit_send_user_message would say nothing more: sent as they stand
    1127: f"{UNIT} {TAIL} new-level=graphical.target old-level=?",
    1128: f' comm="systemd-update-utmp" exe="/usr/lib/systemd/systemd-update-utmp" {TAIL}',
    1129: f' comm="systemd-update-utmp" exe="/usr/lib/systemd/systemd-update-utmp" {TAIL}',
    1130: f"{UNIT} {TAIL}",
    1131: f"{UNIT} {TAIL.replace('success', 'failed')}",
    1138: 'sw="provoke-1.2-3.x86_64" sw_type=rpm key_enforce=0 gpg_res=1 root_dir="/" comm="dnf" '
    'exe="/usr/bin/python3" ' + TAIL,
    1107: "avc:  denied  { send_msg } for  scontext=user_u:user_r:user_t:s0 tcontext=system_u:system_r:init_t:s0 "
    'tclass=dbus permissive=0 exe="/usr/bin/dbus-daemon" sauid=81 hostname=? addr=? terminal=?',
    1122: 'op=PAM:selinux acct="alice" invalid_context=73797374656D20 hostname=? addr=? terminal=? res=failed',
    2301: "pam: default-context=user_u:user_r:user_t:s0 selected-context=user_u:user_r:user_t:s0",
    2404: 'op=destroy kind=server fp=SHA256:4e:7f:aa direction=? spid=1234 suid=0 exe="/usr/sbin/sshd" '
    + TAIL,
    2407: "op=start direction=from-client cipher=chacha20-poly1305@openssh.com ksize=512 mac=<implicit> "
    'pfs=curve25519-sha256 spid=1234 suid=74 rport=40822 laddr=203.0.113.1 lport=22 exe="/usr/sbin/sshd" hostname=? '
    "addr=203.0.113.10 terminal=? res=success",
    2500: f'virt=kvm op=start reason=booted {KVM} vm-pid=4321 exe="/usr/sbin/libvirtd" {TAIL}',
    2501: f'virt=kvm resrc=disk reason=start {KVM} old-disk="?" new-disk="/var/lib/a disk.img" {TAIL}',
    2502: f"virt=kvm {KVM} vm-ctx=system_u:system_r:svirt_t:s0:c1,c2 img-ctx=? model=selinux {TAIL}",
    2100: 'op=login acct="bob" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.10 terminal=ssh res=failed',
    2207: 'op=lock acct="bob" exe="/usr/bin/provoke" ' + TAIL,
    2307: "path=/dev/input op=add " + TAIL,
    1111: f'op=change system time acct="root" exe="/usr/sbin/hwclock" {TAIL}',
    2899: "op=a type that no table names res=1",
    1150: "op=so here too res=0",
}
SAID = {  # with exe, hostname, addr and terminal added by libaudit
    1105: 'op=PAM:session_open grantors=pam_permit,pam_unix acct="alice"',
    1101: "op=PAM:accounting grantors=? acct=28696E76616C6964207573657229",
    1121: "dev=/dev/sdb1",
    1112: "op=login id=4242",
    1134: "op=change",
    1137: "op=authorized-device device=usb1",
    1120: "op=test it",
}
ACCOUNTS = {
    1114: "add-user",
    1115: "delete-user",
    1116: "add-group",
    1117: "delete-group",
    1132: "changing-group",
}
text = ctypes.c_char_p
for kind, message in RAW.items():
    body = message.encode() + b"\0"
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as user:
        user.send(struct.pack("=IHHII", 16 + len(body), kind, 5, 1, 0) + body)
        user.recv(8192)
for kind, message in SAID.items():
    where = (text(b"client.example"), text(b"203.0.113.10"), text(b"pts/0"))
    libaudit.audit_log_user_message(audit, kind, text(message.encode()), *where, 1)
for kind, operation in ACCOUNTS.items():
    arguments = (text(b"/usr/sbin/useradd"), text(operation.encode()))
    libaudit.audit_log_acct_message(
        audit, kind, *arguments, text(b"mallory me"), 4299, None, None, None, kind % 2
    )
    libaudit.audit_log_acct_message(
        audit, kind, *arguments, None, 4242, text(b"localhost"), None, text(b"console"), 1
    )
for command in (b"ls -l", b'/bin/cat /etc/shadow "x"', b"caf\xc3\xa9"):
    libaudit.audit_log_user_command(audit, 1123, text(command), text(b"/dev/pts/0"), 1)
libaudit.audit_log_user_comm_message(
    audit, 1130, text(b"unit=libaudit-says"), text(b"systemd"), None, None, None, 1
)
libaudit.audit_log_semanage_message(
    audit,
    2305,
    text(b"/usr/sbin/semanage"),
    text(b"login"),
    text(b"alice"),
    4242,
    text(b"staff_u"),
    text(b"staff_r"),
    text(b"s0"),
    text(b"user_u"),
    text(b"user_r"),
    text(b"s0"),
    None,
    None,
    None,
    1,
)
notice = text(b"avc:  received policyload notice (seqno=2)")
libaudit.audit_log_user_avc_message(audit, 1107, notice, None, None, None, 0)
