//! What the tables answer, against numbers of the kernel's own headers and of `ausyscall`.

use super::*;

#[test]
fn arch_numbers_have_the_names_of_ausearch() {
    let names = [
        (0xc000_003e, "x86_64", false),
        (0x4000_0003, "i386", false),
        (0xc000_00b7, "aarch64", false),
        (0x4000_0028, "arm", false),
        (0xc000_0015, "ppc64le", false),
        (0x8000_0015, "ppc64", true),
        (0x8000_0016, "s390x", true),
        (0x0000_0016, "s390", true),
        (0xc000_00f3, "riscv64", false),
    ];
    for (elf, name, big) in names {
        let arch = Arch::from_elf(elf).expect(name);
        assert_eq!(
            (arch.name(), arch.elf(), arch.is_big_endian()),
            (name, elf, big)
        );
    }
    assert_eq!(Arch::from_elf(0), None);
}

#[test]
fn one_name_has_one_id_on_every_architecture() {
    let openat = SyscallId::from_name(b"openat");
    assert!(openat.is_some());
    let numbers = [
        (Arch::X86_64, 257),
        (Arch::I386, 295),
        (Arch::AARCH64, 56),
        (Arch::ARM, 322),
    ];
    for (arch, number) in numbers {
        assert_eq!(syscall(arch, number), openat, "{}", arch.name());
    }
    assert_eq!(syscall(Arch::PPC64LE, 286), openat);
    assert_eq!(syscall(Arch::S390X, 288), openat);
    assert_eq!(syscall(Arch::RISCV64, 56), openat);
}

#[test]
fn x32_calls_have_their_own_numbers() {
    let name = |number| syscall(Arch::X86_64, number).map(SyscallId::name);
    assert_eq!(name(59), Some("execve"));
    assert_eq!(name(X32_BIT | 520), Some("execve"));
    assert_eq!(name(520), None);
    assert_eq!(name(u64::MAX), None);
}

#[test]
fn every_name_is_found_again() {
    for number in 0..SyscallId::COUNT {
        let id = SyscallId(number as u16);
        assert_eq!(SyscallId::from_name(id.name().as_bytes()), Some(id));
    }
    assert_eq!(SyscallId::from_name(b""), None);
    assert_eq!(SyscallId::from_name(b"openat3"), None);
    for number in 0..=u16::MAX {
        if let Some(name) = record_type_name(number) {
            assert_eq!(record_type_number(name.as_bytes()), Some(number));
        }
    }
}

#[test]
fn record_types_old_and_new() {
    let known = [
        (1006, "LOGIN"),
        (1123, "USER_CMD"),
        (1300, "SYSCALL"),
        (1320, "EOE"),
        (1334, "BPF"),
        (1335, "EVENT_LISTENER"),
        (1336, "URINGOP"),
        (1337, "OPENAT2"),
        (1338, "DM_CTRL"),
        (1339, "DM_EVENT"),
        (1420, "IPE_ACCESS"),
        (1423, "LANDLOCK_ACCESS"),
        (1424, "LANDLOCK_DOMAIN"),
        (1425, "MAC_TASK_CONTEXTS"),
        (1426, "MAC_OBJ_CONTEXTS"),
        (2404, "CRYPTO_KEY_USER"),
    ];
    for (number, name) in known {
        assert_eq!(record_type_name(number), Some(name));
    }
    assert_eq!(record_type_name(999), None);
    assert_eq!(record_type_name(3000), None);
    assert_eq!(record_type_number(b"UNKNOWN[1427]"), Some(1427));
    for bad in [
        &b"UNKNOWN[]"[..],
        b"UNKNOWN[+1]",
        b"UNKNOWN[70000]",
        b"UNKNOWN[1",
        b"",
        b"NOSUCH",
    ] {
        assert_eq!(record_type_number(bad), None);
    }
}

#[test]
fn errors_have_names_and_texts() {
    assert_eq!(
        (errno_name(13), errno_text(13)),
        (Some("EACCES"), Some("Permission denied"))
    );
    assert_eq!(errno_name(11), Some("EAGAIN"));
    assert_eq!(errno_name(41), None);
    assert_eq!(errno_name(u32::MAX), None);
}

fn flags(table: &[(u64, &'static str)], value: u64) -> String {
    let mut out = Vec::new();
    write_flags(&mut out, table, value);
    String::from_utf8(out).expect("names are ASCII")
}

#[test]
fn flags_are_joined_and_the_rest_is_hex() {
    assert_eq!(flags(MEMFD_FLAGS, 3), "MFD_CLOEXEC|MFD_ALLOW_SEALING");
    assert_eq!(flags(MEMFD_FLAGS, 0x8001), "MFD_CLOEXEC|0x8000");
    assert_eq!(flags(MEMFD_FLAGS, 0), "0x0");
    assert_eq!(flags(PROTECTIONS, 0), "PROT_NONE");
    assert_eq!(flags(OPEN_FLAGS, 0x0010_1002), "O_RDWR|O_SYNC");
    assert_eq!(flags(OPEN_FLAGS, 0x0041_1001), "O_WRONLY|O_DSYNC|O_TMPFILE");
    assert_eq!(flags(OPEN_FLAGS, 0x0001_0001), "O_WRONLY|O_DIRECTORY");
    assert_eq!(flags(&[], u64::MAX), "0xffffffffffffffff");
}

#[test]
fn numbers_are_written_whole() {
    let mut out = Vec::new();
    for value in [0, 7, -1, i64::MIN, i64::MAX] {
        write_decimal(&mut out, value);
        out.push(b' ');
    }
    assert_eq!(
        out,
        format!("0 7 -1 {} {} ", i64::MIN, i64::MAX).into_bytes()
    );
    out.clear();
    for value in [0, 0x10, 0xabc, u64::MAX] {
        write_hex(&mut out, value);
    }
    assert_eq!(out, b"0x00x100xabc0xffffffffffffffff");
}
