use super::syscalls::number;
use super::*;
use crate::capabilities;
use crate::sys::seccomp::Instruction;

const X86_64: u32 = 0xc000_003e;

/// Runs a program as the kernel would, on one system call.
fn run(program: &[Instruction], arch: u32, name: &str, arguments: [u64; 6]) -> u32 {
    let number = number(name).expect("a known name");
    let word = |offset: u32| match offset {
        0 => number,
        4 => arch,
        _ => (arguments[(offset as usize - 16) / 8] >> if offset % 8 == 4 { 32 } else { 0 }) as u32,
    };
    let (mut at, mut register) = (0, 0u32);
    loop {
        let Instruction(code, yes, no, k) = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { yes } else { no });
        match code {
            0x20 => register = word(k),
            0x54 => register &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(register == k),
            0x25 => at += jump(register > k),
            0x35 => at += jump(register >= k),
            0x06 => return k,
            other => panic!("unknown code {other}"),
        }
    }
}

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

#[test]
fn the_default_profile_allows_what_programs_need() {
    let usual = capabilities::resolve(false, &cri::Capabilities::default()).expect("default");
    let program = compile(&runtime_default(usual));
    assert!(program.len() < 300, "{} instructions", program.len());
    let of = |name: &str, first: u64| run(&program, X86_64, name, [first, 0, 0, 0, 0, 0]);
    let table = [
        ("read", 0, ALLOW),
        ("openat2", 0, ALLOW),
        ("mseal", 0, ALLOW),
        ("chroot", 0, ALLOW),
        ("mount", 0, EPERM),
        ("bpf", 0, EPERM),
        ("reboot", 0, EPERM),
        ("keyctl", 0, EPERM),
        ("io_uring_setup", 0, EPERM),
        ("unshare", 0, EPERM),
        ("clone3", 0, ENOSYS),
        ("clone", 0x0011, ALLOW),
        ("clone", 0x1000_0011, EPERM),
        ("clone", 0x0200_0000, EPERM),
        ("socket", 2, ALLOW),
        ("socket", 40, EPERM),
        ("socket", 40 | 1 << 32, EPERM),
        ("personality", 0, ALLOW),
        ("personality", 0xffff_ffff, ALLOW),
        ("personality", 0x40000, EPERM),
    ];
    for (name, first, expected) in table {
        assert_eq!(of(name, first), expected, "{name}({first:#x})");
    }
    assert_eq!(run(&program, 0x4000_0003, "read", [0; 6]), EPERM, "32-bit");
    let admin = compile(&runtime_default(usual | capabilities::bit("SYS_ADMIN").expect("known")));
    assert_eq!(run(&admin, X86_64, "mount", [0; 6]), ALLOW);
    assert_eq!(run(&admin, X86_64, "clone3", [0; 6]), ALLOW);
}

#[test]
fn comparisons_are_of_64_bits() {
    let big = 5u64 << 32 | 7;
    let table = [
        ("SCMP_CMP_EQ", [false, true, false]),
        ("SCMP_CMP_NE", [true, false, true]),
        ("SCMP_CMP_LT", [true, false, false]),
        ("SCMP_CMP_LE", [true, true, false]),
        ("SCMP_CMP_GT", [false, false, true]),
        ("SCMP_CMP_GE", [false, true, true]),
    ];
    for (op, expected) in table {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{{"names": ["read", "of_the_future"],
            "action": "SCMP_ACT_ALLOW", "args": [{{"index": 2, "value": {big}, "op": "{op}"}}]}}]}}"#
        );
        let program = compile(&parse(json.as_bytes()).expect("profile"));
        for (low_high, holds) in
            [(big - 1, big - (1 << 32)), (big, big), (big + 1, big + (1 << 32))].iter().zip(expected)
        {
            for value in [low_high.0, low_high.1] {
                let got = run(&program, X86_64, "read", [0, 0, value, 0, 0, 0]);
                assert_eq!(got, if holds { ALLOW } else { 0x8000_0000 }, "{op} {value:#x}");
            }
        }
    }
}

#[test]
fn unusable_profiles_say_what_is_wrong() {
    let error = parse(br#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#).expect_err("unsupported");
    assert_eq!(error.to_string(), "seccomp profile uses action \"SCMP_ACT_NOTIFY\", which is not supported");
    assert!(parse(b"{").is_err());
}
