//! From a profile to BPF.

use std::collections::BTreeMap;

use super::syscalls::number;
use super::{Action, Comparison, Condition, Profile};
use crate::sys::seccomp::Instruction;

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
/// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Numbers from here on are those of the x32 interface.
const X32: u32 = 0x4000_0000;

/// What happens to one system call number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Treatment {
    Plain(Action),
    /// The first whose conditions hold; else the default.
    Conditional(Vec<(Vec<Condition>, Action)>),
}

fn value(action: Action) -> u32 {
    match action {
        Action::Allow => 0x7fff_0000,
        Action::Log => 0x7ffc_0000,
        Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Action::Trap => 0x0003_0000,
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
    }
}

/// Compiles a profile for x86_64. Names that this architecture does not have are skipped, as everywhere.
pub(crate) fn compile(profile: &Profile) -> Vec<Instruction> {
    let mut treatments: BTreeMap<u32, Treatment> = BTreeMap::new();
    for rule in &profile.rules {
        for number in rule.names.iter().filter_map(|name| number(name)) {
            if rule.conditions.is_empty() {
                treatments.insert(number, Treatment::Plain(rule.action));
                continue;
            }
            match treatments.entry(number).or_insert_with(|| Treatment::Conditional(vec![])) {
                Treatment::Plain(_) => {}
                Treatment::Conditional(rules) => rules.push((rule.conditions.clone(), rule.action)),
            }
        }
    }
    let default = Treatment::Plain(profile.default);
    let mut ranges: Vec<(u32, &Treatment)> = vec![];
    let last = treatments.keys().next_back().map_or(0, |number| number + 1);
    for number in 0..=last {
        let treatment = treatments.get(&number).unwrap_or(&default);
        if ranges.last().is_none_or(|(_, before)| *before != treatment) {
            ranges.push((number, treatment));
        }
    }
    let mut program = vec![
        Instruction(LOAD_WORD, 0, 0, OFFSET_ARCH),
        Instruction(JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        Instruction(RETURN, 0, 0, value(profile.default)),
        Instruction(LOAD_WORD, 0, 0, OFFSET_NUMBER),
        Instruction(JUMP_GREATER_OR_EQUAL, 0, 1, X32),
        Instruction(RETURN, 0, 0, value(profile.default)),
    ];
    search(&mut program, &ranges, profile.default);
    program
}

/// Binary search over ranges. Far jumps are unconditional ones, which reach everywhere.
fn search(program: &mut Vec<Instruction>, ranges: &[(u32, &Treatment)], default: Action) {
    if let [(_, treatment)] = ranges {
        match treatment {
            Treatment::Plain(action) => program.push(Instruction(RETURN, 0, 0, value(*action))),
            Treatment::Conditional(rules) => conditional(program, rules, default),
        }
        return;
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    program.push(Instruction(JUMP_GREATER_OR_EQUAL, 0, 1, right[0].0));
    let far = program.len();
    program.push(Instruction(JUMP, 0, 0, 0));
    search(program, left, default);
    program[far].3 = u32::try_from(program.len() - far - 1).expect("programs are short");
    search(program, right, default);
}

/// Where a test inside a rule goes on.
#[derive(Debug, Clone, Copy)]
enum To {
    Next,
    /// The condition holds.
    Pass,
    /// The rule does not apply.
    Fail,
}

fn conditional(program: &mut Vec<Instruction>, rules: &[(Vec<Condition>, Action)], default: Action) {
    for (conditions, action) in rules {
        let mut fails = vec![];
        for condition in conditions {
            let tests = tests(condition);
            let start = program.len();
            let end = start + tests.len();
            for (at, (code, operand, yes, no)) in (start..).zip(tests) {
                let offset = |to: To| match to {
                    To::Next | To::Fail => 0,
                    To::Pass => u8::try_from(end - at - 1).expect("a condition is a few instructions"),
                };
                if matches!(yes, To::Fail) || matches!(no, To::Fail) {
                    fails.push((at, yes, no));
                }
                program.push(Instruction(code, offset(yes), offset(no), operand));
            }
        }
        program.push(Instruction(RETURN, 0, 0, value(*action)));
        for (at, yes, no) in fails {
            // At most six conditions of six instructions each.
            let offset = u8::try_from(program.len() - at - 1).expect("a rule is below 255 instructions");
            if matches!(yes, To::Fail) {
                program[at].1 = offset;
            }
            if matches!(no, To::Fail) {
                program[at].2 = offset;
            }
        }
    }
    program.push(Instruction(RETURN, 0, 0, value(default)));
}

/// The tests of one condition on a 64-bit argument: high word, then low word.
fn tests(condition: &Condition) -> Vec<(u16, u32, To, To)> {
    use To::{Fail, Next, Pass};
    let low_offset = OFFSET_ARGUMENTS + 8 * u32::from(condition.argument);
    let words = |value: u64| (u32::try_from(value >> 32).expect("32 bits"), (value & 0xffff_ffff) as u32);
    let (high, low) = words(condition.value);
    let load_high = (LOAD_WORD, low_offset + 4, Next, Next);
    let load_low = (LOAD_WORD, low_offset, Next, Next);
    match condition.comparison {
        Comparison::Equal => {
            vec![load_high, (JUMP_EQUAL, high, Next, Fail), load_low, (JUMP_EQUAL, low, Next, Fail)]
        }
        Comparison::NotEqual => {
            vec![load_high, (JUMP_EQUAL, high, Next, Pass), load_low, (JUMP_EQUAL, low, Fail, Next)]
        }
        Comparison::MaskedEqual => {
            let (mask_high, mask_low) = words(condition.mask);
            vec![
                load_high,
                (AND, mask_high, Next, Next),
                (JUMP_EQUAL, high, Next, Fail),
                load_low,
                (AND, mask_low, Next, Next),
                (JUMP_EQUAL, low, Next, Fail),
            ]
        }
        Comparison::Greater => vec![
            load_high,
            (JUMP_GREATER, high, Pass, Next),
            (JUMP_EQUAL, high, Next, Fail),
            load_low,
            (JUMP_GREATER, low, Next, Fail),
        ],
        Comparison::GreaterOrEqual => vec![
            load_high,
            (JUMP_GREATER, high, Pass, Next),
            (JUMP_EQUAL, high, Next, Fail),
            load_low,
            (JUMP_GREATER_OR_EQUAL, low, Next, Fail),
        ],
        Comparison::Less => vec![
            load_high,
            (JUMP_GREATER, high, Fail, Next),
            (JUMP_EQUAL, high, Next, Pass),
            load_low,
            (JUMP_GREATER_OR_EQUAL, low, Fail, Next),
        ],
        Comparison::LessOrEqual => vec![
            load_high,
            (JUMP_GREATER, high, Fail, Next),
            (JUMP_EQUAL, high, Next, Pass),
            load_low,
            (JUMP_GREATER, low, Fail, Next),
        ],
    }
}
