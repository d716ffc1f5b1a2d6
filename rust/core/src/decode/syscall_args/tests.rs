//! Readings against those of `ausearch -i` (3.0.9), and where that is wrong, against the kernel's headers.

use proptest::prelude::*;

use super::*;

/// The reading of argument `n`, or the raw value as ausearch writes it.
fn reading(arch: Arch, call: &str, n: usize, a: &[u64]) -> String {
    let mut all = [0; 4];
    all[..a.len()].copy_from_slice(a);
    let id = SyscallId::from_name(call.as_bytes()).expect(call);
    let mut out = Vec::new();
    if !argument(id, arch, n, &all, &mut out) {
        assert!(out.is_empty(), "{call} wrote {out:?} and then refused");
        tables::write_hex(&mut out, all[n]);
    }
    String::from_utf8(out).expect("plain ASCII")
}

fn x86(call: &str, n: usize, a: &[u64]) -> String {
    reading(Arch::X86_64, call, n, a)
}

const CWD: u64 = 0xffff_ff9c;

#[test]
fn readings_are_those_of_ausearch() {
    let cases: &[(&str, usize, &[u64], &str)] = &[
        ("openat", 0, &[CWD], "AT_FDCWD"),
        ("openat", 0, &[0xffff_ffff_ffff_ff9c], "AT_FDCWD"),
        ("openat", 2, &[CWD, 1, 0x80000], "O_RDONLY|O_CLOEXEC"),
        ("openat", 2, &[CWD, 1, 0x241], "O_WRONLY|O_CREAT|O_TRUNC"),
        (
            "openat",
            2,
            &[5, 1, 0x90800],
            "O_RDONLY|O_NONBLOCK|O_DIRECTORY|O_CLOEXEC",
        ),
        ("open", 1, &[1, 0], "O_RDONLY"),
        ("open", 1, &[1, 3], "O_WRONLY|O_RDWR"),
        ("open", 2, &[1, 0x241, 0o644], "0644"),
        ("open", 2, &[1, 0x80000, 0o644], "0x1a4"),
        ("mq_open", 2, &[1, 0x42, 0o600], "0600"),
        ("mmap", 2, &[0, 4096, 3, 0x22], "PROT_READ|PROT_WRITE"),
        ("mmap", 2, &[0, 4096, 0, 0x22], "PROT_NONE"),
        (
            "mmap",
            3,
            &[0, 4096, 0, 0x100022],
            "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE",
        ),
        ("mprotect", 2, &[0, 1, 5], "PROT_READ|PROT_EXEC"),
        ("kill", 1, &[1, 9], "SIGKILL"),
        ("kill", 1, &[0xffff_fffb, 0], "SIG0"),
        ("tgkill", 2, &[3, 4, 11], "SIGSEGV"),
        ("rt_sigaction", 0, &[17], "SIGCHLD"),
        ("socket", 0, &[2, 1, 0], "inet"),
        ("socket", 0, &[1, 1, 0], "local"),
        ("socket", 1, &[2, 1, 0], "SOCK_STREAM"),
        ("socket", 2, &[2, 1, 0], "ip"),
        ("socket", 2, &[10, 3, 58], "ipv6-icmp"),
        ("ptrace", 0, &[16, 99], "PTRACE_ATTACH"),
        ("ptrace", 0, &[3, 99], "PTRACE_PEEKUSER"),
        ("ptrace", 0, &[0x4206, 9], "PTRACE_SEIZE"),
        ("prctl", 0, &[15, 0x7f1], "PR_SET_NAME"),
        ("prctl", 1, &[15, 0x7f1], "0x7f1"),
        ("prctl", 1, &[24, 21], "sys_admin"),
        ("prctl", 1, &[1, 9], "SIGKILL"),
        ("mount", 3, &[1, 2, 3, 0x1006], "MS_NOSUID|MS_NODEV|MS_BIND"),
        ("mount", 3, &[1, 2, 3, 0], "0x0"),
        ("umount2", 1, &[1, 2], "MNT_DETACH"),
        ("bpf", 0, &[5], "BPF_PROG_LOAD"),
        ("bpf", 0, &[10], "BPF_PROG_TEST_RUN"),
        ("fcntl", 1, &[3, 1030, 5], "F_DUPFD_CLOEXEC"),
        ("fcntl", 2, &[3, 2, 1], "FD_CLOEXEC"),
        ("setrlimit", 0, &[7], "RLIMIT_NOFILE"),
        (
            "sched_setscheduler",
            1,
            &[0, 0x4000_0002],
            "SCHED_RR|SCHED_RESET_ON_FORK",
        ),
        ("sched_setscheduler", 1, &[0, 0], "SCHED_OTHER"),
        ("lseek", 2, &[3, 0, 2], "SEEK_END"),
        ("access", 1, &[1, 0], "F_OK"),
        ("access", 1, &[1, 7], "X_OK|W_OK|R_OK"),
        ("faccessat2", 2, &[CWD, 1, 2], "W_OK"),
        ("fchmodat", 2, &[CWD, 1, 0o755], "0755"),
        ("chmod", 1, &[1, 0o4755], "suid,0755"),
        ("mknod", 1, &[1, 0o20666, 0x103], "character,666"),
        ("ioctl", 1, &[0, 0x5401], "TCGETS"),
        ("ioctl", 1, &[0, 0x541b], "TIOCINQ"),
        ("ioctl", 1, &[0, 0x5309], "CDROMEJECT"),
        ("setsockopt", 1, &[3, 1, 2], "SOL_SOCKET"),
        ("setsockopt", 2, &[3, 1, 2], "SO_REUSEADDR"),
        ("setsockopt", 1, &[3, 6, 1], "tcp"),
        ("setsockopt", 2, &[3, 6, 1], "TCP_NODELAY"),
        ("setsockopt", 2, &[3, 0, 2], "IP_TTL"),
        ("setsockopt", 2, &[3, 41, 26], "IPV6_V6ONLY"),
        ("setsockopt", 2, &[3, 17, 1], "UDP_CORK"),
        ("setsockopt", 1, &[3, 263, 1], "SOL_PACKET"),
        ("setsockopt", 2, &[3, 263, 1], "PACKET_ADD_MEMBERSHIP"),
        ("setuid", 0, &[0xffff_ffff], "unset"),
        ("personality", 0, &[8], "PER_LINUX32"),
        ("unshare", 0, &[0x1000_0000], "CLONE_NEWUSER"),
        ("setns", 1, &[3, 0x2000_0000], "CLONE_NEWPID"),
        ("sendto", 3, &[3, 1, 2, 0x4000], "MSG_NOSIGNAL"),
        ("recvfrom", 3, &[3, 1, 2, 0x42], "MSG_PEEK|MSG_DONTWAIT"),
        ("recvmsg", 2, &[3, 1, 0x40], "MSG_DONTWAIT"),
        ("shmget", 2, &[1, 2, 0o1600], "IPC_CREAT|0600"),
        ("shmget", 2, &[1, 2, 0], "0000"),
        ("epoll_ctl", 1, &[3, 1, 4], "EPOLL_CTL_ADD"),
        ("clock_settime", 0, &[0], "CLOCK_REALTIME"),
        ("exit", 0, &[1], "EXIT_FAILURE"),
    ];
    for (call, n, a, expected) in cases {
        assert_eq!(x86(call, *n, a), *expected, "{call} a{n} of {a:x?}");
    }
}

/// What `ausearch -i` leaves raw or reads wrongly: names that go together, newer calls, families' own protocols.
#[test]
fn readings_that_ausearch_lacks_or_has_wrong() {
    let cases: &[(&str, usize, &[u64], &str)] = &[
        ("openat", 2, &[5, 1, 0x101002], "O_RDWR|O_SYNC"),
        ("openat", 2, &[5, 1, 0x410001], "O_WRONLY|O_TMPFILE"),
        ("openat", 3, &[CWD, 1, 0x241, 0o644], "0644"),
        (
            "clone",
            0,
            &[0x0120_0011],
            "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD",
        ),
        ("clone", 0, &[0x11], "SIGCHLD"),
        ("clone", 0, &[0x0200_0000], "CLONE_NEWCGROUP"),
        ("clone", 0, &[0x41], "0x41"),
        ("clone", 0, &[0x1_0000_0000], "0x100000000"),
        ("kill", 0, &[0xffff_ffff_ffff_ffff, 15], "-1"),
        ("kill", 1, &[1, 30], "SIGPWR"),
        ("tgkill", 2, &[3, 4, 34], "SIGRT_2"),
        (
            "socket",
            1,
            &[2, 0x80801],
            "SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC",
        ),
        ("socket", 2, &[16, 3, 9], "NETLINK_AUDIT"),
        ("socket", 2, &[17, 3, 0x300], "ETH_P_ALL"),
        ("socket", 2, &[1, 1, 0], "0x0"),
        ("socketpair", 0, &[1, 2, 0], "local"),
        ("setsockopt", 1, &[3, 262, 1], "SOL_X25"),
        ("setsockopt", 2, &[3, 270, 5], "NETLINK_NO_ENOBUFS"),
        ("prctl", 0, &[0x5961_6d61, 5], "PR_SET_PTRACER"),
        ("prctl", 1, &[47, 2, 21], "PR_CAP_AMBIENT_RAISE"),
        ("prctl", 2, &[47, 2, 21], "sys_admin"),
        ("prctl", 1, &[22, 2], "SECCOMP_MODE_FILTER"),
        ("bpf", 0, &[28], "BPF_LINK_CREATE"),
        ("fcntl", 2, &[3, 4, 0x802], "O_RDWR|O_NONBLOCK"),
        ("fcntl", 2, &[3, 1033, 3], "F_SEAL_SEAL|F_SEAL_SHRINK"),
        ("prlimit64", 1, &[9, 7], "RLIMIT_NOFILE"),
        ("lseek", 1, &[3, u64::MAX, 2], "-1"),
        ("mknodat", 2, &[CWD, 1, 0o10644], "fifo,644"),
        ("mknod", 2, &[1, 0o20666, 0x103], "1:3"),
        ("umask", 0, &[0o22], "0022"),
        ("unlinkat", 2, &[CWD, 1, 0x200], "AT_REMOVEDIR"),
        ("renameat2", 2, &[CWD, 1, CWD, 2], "AT_FDCWD"),
        ("statx", 3, &[CWD, 1, 0x900, 2], "STATX_MODE"),
        ("personality", 0, &[0x40000], "PER_LINUX|ADDR_NO_RANDOMIZE"),
        ("personality", 0, &[0xffff_ffff], "0xffffffff"),
        ("mount", 3, &[1, 2, 3, 0xc0ed_0001], "MS_RDONLY"),
        ("keyctl", 0, &[8], "KEYCTL_LINK"),
        ("keyctl", 2, &[8, 5, 0xffff_fffc], "KEY_SPEC_USER_KEYRING"),
        (
            "finit_module",
            2,
            &[3, 1, 3],
            "MODULE_INIT_IGNORE_MODVERSIONS|MODULE_INIT_IGNORE_VERMAGIC",
        ),
        (
            "reboot",
            2,
            &[0, 0, 0x0123_4567],
            "LINUX_REBOOT_CMD_RESTART",
        ),
        ("swapon", 1, &[1, 0x8001], "SWAP_FLAG_PREFER|1"),
        ("quotactl", 0, &[0x8000_0701], "Q_GETQUOTA|GRPQUOTA"),
        ("memfd_create", 1, &[1, 3], "MFD_CLOEXEC|MFD_ALLOW_SEALING"),
        ("move_mount", 0, &[3], "3"),
        ("fsconfig", 1, &[3, 6], "FSCONFIG_CMD_CREATE"),
        ("io_uring_register", 1, &[3, 0], "IORING_REGISTER_BUFFERS"),
        ("pidfd_send_signal", 1, &[3, 9], "SIGKILL"),
        (
            "landlock_create_ruleset",
            2,
            &[0, 0, 1],
            "LANDLOCK_CREATE_RULESET_VERSION",
        ),
        ("read", 2, &[3, 1, 4096], "4096"),
        (
            "mmap",
            3,
            &[0, 0, 0, 0x5404_0022],
            "MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT",
        ),
    ];
    for (call, n, a, expected) in cases {
        assert_eq!(x86(call, *n, a), *expected, "{call} a{n} of {a:x?}");
    }
}

#[test]
fn architectures_have_their_own_numbers() {
    let flags = |arch| reading(arch, "openat", 2, &[CWD, 1, 0x4000]);
    assert_eq!(flags(Arch::X86_64), "O_RDONLY|O_DIRECT");
    assert_eq!(flags(Arch::AARCH64), "O_RDONLY|O_DIRECTORY");
    assert_eq!(flags(Arch::PPC64LE), "O_RDONLY|O_DIRECTORY");
    assert_eq!(reading(Arch::S390X, "clone", 0, &[0x11, 0x11]), "0x11");
    assert_eq!(reading(Arch::S390X, "clone", 1, &[0x11, 0x11]), "SIGCHLD");
    assert_eq!(reading(Arch::S390X, "mmap", 2, &[1, 0, 3]), "0x3");
    assert_eq!(
        reading(Arch::I386, "mmap2", 2, &[1, 0, 3]),
        "PROT_READ|PROT_WRITE"
    );
    assert_eq!(reading(Arch::I386, "setuid", 0, &[0xffff]), "unset");
    assert_eq!(reading(Arch::I386, "setuid32", 0, &[0xffff]), "65535");
    assert_eq!(reading(Arch::I386, "socketcall", 0, &[3]), "connect");
    assert_eq!(reading(Arch::I386, "ipc", 0, &[0x1_0015]), "shmat");
    assert_eq!(
        reading(Arch::PPC, "getsockopt", 2, &[3, 1, 21]),
        "SO_PEERCRED"
    );
    assert_eq!(reading(Arch::PPC64, "socket", 2, &[17, 3, 3]), "ETH_P_ALL");
    assert_eq!(reading(Arch::I386, "lseek", 1, &[3, 0xffff_ffff]), "-1");
}

#[test]
fn every_operation_of_socketcall_is_a_call() {
    for number in 1..=20 {
        // send and recv have no call of their own on some architectures, but on others.
        assert!(socketcall(number).is_some(), "{number}");
    }
    assert_eq!(socketcall(0), None);
    assert_eq!(socketcall(21), None);
}

#[test]
fn a_personality_without_a_name_is_refused_and_writes_nothing() {
    let mut out = Vec::new();
    assert!(!flags::personality(&mut out, 1)); // PER_SVR4 has flags as well
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn any_argument_is_ascii_and_refusal_writes_nothing(
        elf in prop::sample::select(vec![0xc000_003e_u32, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0x8000_0016, 0x16, 0x14]),
        number in 0_u64..1100, n in 0_usize..6, a in prop::array::uniform4(prop_oneof![any::<u64>(), 0_u64..512]),
    ) {
        let arch = Arch::from_elf(elf).expect("a known architecture");
        if let Some(id) = tables::syscall(arch, number) {
            let mut out = Vec::new();
            let read = argument(id, arch, n, &a, &mut out);
            prop_assert_eq!(read, !out.is_empty());
            prop_assert!(out.iter().all(|b| b.is_ascii_graphic() && *b != b'"' && *b != b'\\'));
        }
    }
}
