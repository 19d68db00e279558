//! Signals by name.

const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];
/// The first real-time signal that the C library leaves to programs.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`; none for anything else.
pub(super) fn number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text[1..].parse::<i32>().ok() };
    if let Some(rest) = bare.strip_prefix("RTMIN") {
        return offset(rest).map(|offset| RTMIN + offset).filter(|number| *number <= RTMAX);
    }
    if let Some(rest) = bare.strip_prefix("RTMAX") {
        return offset(rest).map(|offset| RTMAX - offset).filter(|number| *number >= RTMIN);
    }
    NAMES.iter().find(|(known, _)| *known == bare).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_and_numbers() {
        let table = [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGNOPE", None),
            ("0", None),
            ("65", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(super::number(name), expected, "{name}");
        }
    }
}
