//! Device rules: v1 text, and the v2 program. Pure.

/// Devices that a group may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceRule {
    /// `c` or `b`.
    pub(crate) kind: char,
    /// None means all.
    pub(crate) major: Option<u32>,
    /// None means all.
    pub(crate) minor: Option<u32>,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) mknod: bool,
}

impl DeviceRule {
    /// All that every container may use: making any node, and using null, zero, full, random, urandom, tty, ptmx, ptys.
    pub(crate) fn defaults() -> Vec<Self> {
        let node = |kind| Self { kind, major: None, minor: None, read: false, write: false, mknod: true };
        let use_it = |major, minor| Self { kind: 'c', major: Some(major), minor, read: true, write: true, mknod: true };
        let mut rules = vec![node('c'), node('b')];
        let minors = [
            (1, Some(3)),
            (1, Some(5)),
            (1, Some(7)),
            (1, Some(8)),
            (1, Some(9)),
            (5, Some(0)),
            (5, Some(2)),
            (136, None),
        ];
        rules.extend(minors.map(|(major, minor)| use_it(major, minor)));
        rules
    }

    /// As `c 1:3 rwm`.
    pub(super) fn to_v1(self) -> String {
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        let mut access = String::new();
        for (on, letter) in [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')] {
            if on {
                access.push(letter);
            }
        }
        format!("{} {}:{} {access}", self.kind, number(self.major), number(self.minor))
    }
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, operand: i32) -> [u8; 8] {
    let offset = offset.to_ne_bytes();
    let operand = operand.to_ne_bytes();
    [code, source << 4 | destination, offset[0], offset[1], operand[0], operand[1], operand[2], operand[3]]
}

const LOAD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xbc;
const MOVE_NUMBER: u8 = 0xb7;
const NOT_EQUAL_NUMBER: u8 = 0x55;
const NOT_EQUAL: u8 = 0x5d;
const EXIT: u8 = 0x95;

/// An eBPF program that returns 1 for what a rule allows. Registers: 2 device type, 3 access asked for, 4 major, 5 minor.
pub(super) fn program(rules: &[DeviceRule]) -> Vec<[u8; 8]> {
    let mut program = vec![
        instruction(LOAD, 2, 1, 0, 0),
        instruction(AND, 2, 0, 0, 0xffff),
        instruction(LOAD, 3, 1, 0, 0),
        instruction(SHIFT_RIGHT, 3, 0, 0, 16),
        instruction(LOAD, 4, 1, 4, 0),
        instruction(LOAD, 5, 1, 8, 0),
    ];
    for rule in rules {
        const MKNOD: i32 = 1;
        const READ: i32 = 2;
        const WRITE: i32 = 4;
        let flag = |on: bool, bit: i32| if on { bit } else { 0 };
        let access = flag(rule.mknod, MKNOD) | flag(rule.read, READ) | flag(rule.write, WRITE);
        let mut tests = vec![
            instruction(NOT_EQUAL_NUMBER, 2, 0, 0, if rule.kind == 'b' { 1 } else { 2 }),
            instruction(MOVE, 1, 3, 0, 0),
            instruction(AND, 1, 0, 0, access),
            instruction(NOT_EQUAL, 1, 3, 0, 0),
        ];
        for (register, number) in [(4, rule.major), (5, rule.minor)] {
            if let Some(number) = number {
                tests.push(instruction(NOT_EQUAL_NUMBER, register, 0, 0, number.cast_signed()));
            }
        }
        // Each failed test goes past the two instructions that allow.
        let length = tests.len();
        for (at, test) in tests.iter_mut().enumerate() {
            if [NOT_EQUAL, NOT_EQUAL_NUMBER].contains(&test[0]) {
                let offset = i16::try_from(length - at - 1 + 2).expect("a rule is a few instructions");
                test[2..4].copy_from_slice(&offset.to_ne_bytes());
            }
        }
        program.append(&mut tests);
        program.extend([instruction(MOVE_NUMBER, 0, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]);
    }
    program.extend([instruction(MOVE_NUMBER, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}
