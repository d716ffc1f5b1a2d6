use super::*;
use crate::record::kind::{AVC, EXECVE, LOGIN, PATH, PROCTITLE, SOCKADDR, SYSCALL, URINGOP};
use proptest::prelude::*;

const USER_LOGIN: u16 = 1112;
const USER_CMD: u16 = 1123;
const IPC: u16 = 1303;
const CONFIG_CHANGE: u16 = 1305;
const MQ_OPEN: u16 = 1312;
const OBJ_PID: u16 = 1318;
const TTY: u16 = 1319;
const BPRM_FCAPS: u16 = 1321;
const CAPSET: u16 = 1322;
const MMAP: u16 = 1323;
const NETFILTER_PKT: u16 = 1324;
const NETFILTER_CFG: u16 = 1325;
const SECCOMP: u16 = 1326;
const KERN_MODULE: u16 = 1330;
const FANOTIFY: u16 = 1331;
const EVENT_LISTENER: u16 = 1335;
const OPENAT2: u16 = 1337;
const LANDLOCK_DOMAIN: u16 = 1424;
const ANOM_PROMISCUOUS: u16 = 1700;
const ANOM_ABEND: u16 = 1701;
const INTEGRITY_DATA: u16 = 1800;

fn reading(record: u16, field: &str, value: &str) -> Option<String> {
    let context = Context {
        arch: Some(Arch::X86_64),
    };
    let mut out = b"before ".to_vec();
    let read = read(
        record,
        field.as_bytes(),
        value.as_bytes(),
        &context,
        &mut out,
    );
    let out = out.strip_prefix(b"before ").unwrap();
    assert!(read || out.is_empty());
    read.then(|| String::from_utf8_lossy(out).into_owned())
}

/// Values as `ausearch -i` (audit 3.0.9) prints them.
#[test]
fn reads_as_ausearch_does() {
    for (record, field, value, expected) in [
        (PATH, "mode", "0100755", "file,755"),
        (PATH, "mode", "0104755", "file,suid,755"),
        (PATH, "mode", "0107755", "file,suid,sgid,sticky,755"),
        (PATH, "mode", "041777", "dir,sticky,777"),
        (PATH, "mode", "0140777", "socket,777"),
        (PATH, "mode", "020620", "character,620"),
        (PATH, "mode", "060660", "block,660"),
        (PATH, "mode", "010644", "fifo,644"),
        (PATH, "mode", "0120777", "link,777"),
        (PATH, "mode", "0777", "000,777"),
        (PATH, "mode", "0", "000,000"),
        (PATH, "name", "2F612062", "/a b"),
        (PATH, "name", "\"/x\"", "/x"),
        (PATH, "ogid", "-1", "unset"),
        (PATH, "cap_fp", "0", "none"),
        (PATH, "cap_fi", "3000", "net_admin,net_raw"),
        (CAPSET, "cap_pe", "1", "chown"),
        (BPRM_FCAPS, "pp", "10000000000", "checkpoint_restore"),
        (MQ_OPEN, "oflag", "0x42", "O_RDWR|O_CREAT"),
        (MQ_OPEN, "oflag", "0x40", "O_RDONLY|O_CREAT"),
        (MQ_OPEN, "oflag", "0x0", "O_RDONLY"),
        (MQ_OPEN, "oflag", "0x80000", "O_RDONLY|O_CLOEXEC"),
        (MQ_OPEN, "mode", "0100644", "0644"),
        (MQ_OPEN, "mode", "04755", "suid,0755"),
        (MMAP, "flags", "0x2", "MAP_PRIVATE"),
        (MMAP, "flags", "0x22", "MAP_PRIVATE|MAP_ANONYMOUS"),
        (
            MMAP,
            "flags",
            "0x100022",
            "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE",
        ),
        (NETFILTER_CFG, "family", "2", "ipv4"),
        (NETFILTER_CFG, "family", "1", "inet"),
        (NETFILTER_CFG, "family", "7", "bridge"),
        (NETFILTER_PKT, "proto", "6", "tcp"),
        (NETFILTER_PKT, "proto", "58", "ipv6-icmp"),
        (NETFILTER_PKT, "icmptype", "8", "echo"),
        (NETFILTER_PKT, "hook", "1", "INPUT"),
        (NETFILTER_PKT, "action", "0", "ACCEPT"),
        (NETFILTER_PKT, "macproto", "0x0806", "ARP"),
        (SECCOMP, "sig", "31", "SIGSYS"),
        (SECCOMP, "sig", "0", "SIG0"),
        (SECCOMP, "arch", "c000003e", "x86_64"),
        (SECCOMP, "syscall", "41", "socket"),
        (SECCOMP, "code", "0x7ffc0000", "log"),
        (SECCOMP, "code", "0x50001", "errno"),
        (ANOM_ABEND, "sig", "11", "SIGSEGV"),
        (ANOM_ABEND, "res", "1", "yes"),
        (ANOM_ABEND, "res", "0", "no"),
        (OPENAT2, "resolve", "0x8", "RESOLVE_BENEATH"),
        (FANOTIFY, "resp", "1", "allow"),
        (FANOTIFY, "resp", "2", "deny"),
        (CONFIG_CHANGE, "list", "4", "exit"),
        (CONFIG_CHANGE, "list", "6", "filesystem"),
        (EVENT_LISTENER, "nl-mcgrp", "1", "audit-netlink-multicast"),
        (SYSCALL, "auid", "4294967295", "unset"),
        (SYSCALL, "ses", "4294967295", "unset"),
        (SYSCALL, "per", "8", "PER_LINUX32"),
        (SYSCALL, "per", "0", "PER_LINUX"),
        (LOGIN, "old-auid", "4294967295", "unset"),
        (AVC, "capability", "21", "sys_admin"),
        (AVC, "ioctlcmd", "0x5401", "TCGETS"),
        (AVC, "ioctlcmd", "5401", "TCGETS"),
        (CONFIG_CHANGE, "perm", "6", "read,write"),
        (CONFIG_CHANGE, "perm", "0", "read,write,exec,attr"),
        (ANOM_PROMISCUOUS, "prom", "256", "yes"),
        (ANOM_PROMISCUOUS, "old_prom", "0", "no"),
        (USER_CMD, "cmd", "6C73202D6C", "ls -l"),
        (USER_LOGIN, "acct", "726F6F74", "root"),
        (USER_LOGIN, "acct", "\"root\"", "root"),
        (EXECVE, "a1", "2D6C2061", "-l a"),
        (EXECVE, "a1[0]", "2D6C", "-l"),
        (PROCTITLE, "proctitle", "6C73002D6C002F746D70", "ls -l /tmp"),
        (PROCTITLE, "proctitle", "\"ls\"", "ls"),
        (KERN_MODULE, "name", "78745F666F6F", "xt_foo"),
        (TTY, "data", "6C730D", "\"ls\",<ret>"),
        (
            SOCKADDR,
            "saddr",
            "02000016C0A800010000000000000000",
            "{ saddr_fam=inet laddr=192.168.0.1 lport=22 }",
        ),
    ] {
        assert_eq!(
            reading(record, field, value).as_deref(),
            Some(expected),
            "{record} {field}={value}"
        );
    }
}

/// Where ausearch errs, loses something, or knows nothing yet.
#[test]
fn reads_otherwise_than_ausearch_where_that_is_right() {
    for (record, field, value, expected) in [
        // OPENAT2 writes octal, which ausearch takes for hexadecimal.
        (OPENAT2, "oflag", "0100102", "O_RDWR|O_CREAT|O_LARGEFILE"),
        // The highest bit tells the process from the thread.
        (SECCOMP, "code", "0x80000000", "kill_process"),
        (SECCOMP, "code", "0x0", "kill_thread"),
        (SECCOMP, "code", "0x7fc00000", "user_notif"),
        // Only the name of the error; with the kernel's own where libc has no text.
        (SYSCALL, "exit", "-13", "EACCES"),
        (SYSCALL, "exit", "-512", "ERESTARTSYS"),
        (URINGOP, "exit", "-13", "EACCES"),
        (URINGOP, "uring_op", "18", "openat"),
        (INTEGRITY_DATA, "errno", "-13", "EACCES"),
        (SYSCALL, "per", "40008", "PER_LINUX32|ADDR_NO_RANDOMIZE"),
        (FANOTIFY, "fan_type", "1", "rule_info"),
        (FANOTIFY, "fan_info", "1F", "31"),
        (FANOTIFY, "subj_trust", "2", "unknown"),
        (CONFIG_CHANGE, "list", "7", "io_uring"),
        (NETFILTER_PKT, "icmptype", "128", "echo-request"),
        (NETFILTER_PKT, "macproto", "0x86dd", "IPV6"),
        (OBJ_PID, "oses", "4294967295", "unset"),
        (
            BPRM_FCAPS,
            "old_pa",
            "8000000000000001",
            "chown,0x8000000000000000",
        ),
        (IPC, "mode", "01777", "sticky,0777"),
        (MMAP, "flags", "0x3", "MAP_SHARED_VALIDATE"),
        (PROCTITLE, "proctitle", "6C730000", "ls"),
        (AVC, "dev", "\"tmpfs\"", "tmpfs"),
    ] {
        assert_eq!(
            reading(record, field, value).as_deref(),
            Some(expected),
            "{record} {field}={value}"
        );
    }
}

#[test]
fn leaves_raw_what_says_it_all() {
    for (record, field, value) in [
        (SYSCALL, "exit", "3"),
        (SYSCALL, "exit", "-9999"),
        (SYSCALL, "exit", "-"),
        (SYSCALL, "pid", "1"),
        (SYSCALL, "uid", "0"),
        (SYSCALL, "ses", "1"),
        (SYSCALL, "comm", "(null)"),
        (SYSCALL, "key", "(null)"),
        (SYSCALL, "arch", "zz"),
        (SYSCALL, "syscall", "99999"),
        (PATH, "mode", "zzz"),
        (PATH, "mode", ""),
        (PATH, "mode", "0999"),
        (PATH, "cap_fp", "?"),
        (PATH, "dev", "08:01"),
        (IPC, "mode", "0666"),
        (OPENAT2, "mode", "0600"),
        (OPENAT2, "resolve", "0x0"),
        (LANDLOCK_DOMAIN, "mode", "enforcing"),
        (NETFILTER_CFG, "family", "99"),
        (NETFILTER_PKT, "saddr", "127.0.0.1"),
        (ANOM_ABEND, "res", "success"),
        (ANOM_ABEND, "res", "2"),
        (ANOM_ABEND, "sig", "99"),
        (SOCKADDR, "saddr", "(null)"),
        (SOCKADDR, "saddr", "0200001"),
        (USER_LOGIN, "acct", "root"),
        (USER_LOGIN, "acct", "beef"),
        (CONFIG_CHANGE, "perm", "16"),
        (SECCOMP, "code", "0x12340000"),
        (SECCOMP, "code", "0x"),
    ] {
        assert_eq!(
            reading(record, field, value),
            None,
            "{record} {field}={value}"
        );
    }
}

#[test]
fn follows_the_architecture() {
    let on = |arch, record, field: &str, value: &str| {
        let mut out = Vec::new();
        read(
            record,
            field.as_bytes(),
            value.as_bytes(),
            &Context { arch: Some(arch) },
            &mut out,
        );
        String::from_utf8(out).unwrap()
    };
    assert_eq!(on(Arch::AARCH64, SYSCALL, "syscall", "56"), "openat");
    assert_eq!(
        on(Arch::AARCH64, OPENAT2, "oflag", "040000"),
        "O_RDONLY|O_DIRECTORY"
    );
    assert_eq!(
        on(Arch::S390X, SOCKADDR, "saddr", "00020016C0A80001"),
        "{ saddr_fam=inet laddr=192.168.0.1 lport=22 }"
    );
    let mut out = Vec::new();
    assert!(!read(
        SYSCALL,
        b"syscall",
        b"56",
        &Context::default(),
        &mut out
    ));
}

#[test]
fn takes_an_address_of_any_length() {
    let longest = format!("0100{}", "61".repeat(126));
    assert!(reading(SOCKADDR, "saddr", &longest).is_some());
    assert_eq!(reading(SOCKADDR, "saddr", &format!("{longest}61")), None);
}

proptest! {
    #[test]
    fn takes_any_value(record in 1000u16..2600, name in 0usize..200, value: Vec<u8>) {
        let field = readings::name(name);
        let mut out = b"before".to_vec();
        let read = read(record, field, &value, &Context::default(), &mut out);
        prop_assert!(out.starts_with(b"before"));
        prop_assert!(read || out.len() == 6);
    }

    #[test]
    fn takes_any_digits(record in 1000u16..2600, name in 0usize..200, value in "-?(0x)?[0-9a-fA-F]{0,40}") {
        let mut out = Vec::new();
        read(record, readings::name(name), value.as_bytes(), &Context::default(), &mut out);
    }
}
