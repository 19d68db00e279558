//! Quoted text as `strconv` writes and reads it.

/// Whether `character` shows as itself in quoted text (`strconv.IsPrint`): letters, marks, numbers, punctuation, symbols and
/// the ASCII space.
pub fn is_printable(character: char) -> bool {
    if character == ' ' || matches!(character, '\'' | '"' | '\\') {
        return true;
    }
    !character.is_whitespace() && character.escape_debug().count() == 1
}

/// `text` in double quotes with Go's escapes.
pub fn quote(text: &str) -> String {
    quote_with(text, '"', false)
}

/// `text` between two `mark`s with Go's escapes; with `ascii`, everything beyond ASCII is escaped too.
pub(super) fn quote_with(text: &str, mark: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            c if c == mark => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) && (c.is_ascii() || !ascii) => out.push(c),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(mark);
    out
}

/// One character or escape at the start of `text`, which stands between two `mark`s: its bytes, and what follows. None where
/// Go answers `invalid syntax`.
pub fn unquote_char(text: &str, mark: char) -> Option<(Vec<u8>, &str)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first == mark && matches!(mark, '\'' | '"') {
        return None;
    }
    let utf8 = |c: char| c.to_string().into_bytes();
    if first != '\\' {
        return Some((utf8(first), characters.as_str()));
    }
    let escape = characters.next()?;
    let rest = characters.as_str();
    let simple = |byte: u8| Some((vec![byte], rest));
    match escape {
        'a' => simple(7),
        'b' => simple(8),
        'f' => simple(12),
        'n' => simple(b'\n'),
        'r' => simple(b'\r'),
        't' => simple(b'\t'),
        'v' => simple(11),
        '\\' => simple(b'\\'),
        '\'' | '"' if escape == mark => simple(escape as u8),
        'x' | 'u' | 'U' => {
            let length = match escape {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let digits = rest.get(..length).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            let number = u32::from_str_radix(digits, 16).ok()?;
            let bytes = if escape == 'x' { vec![number as u8] } else { utf8(char::from_u32(number)?) };
            Some((bytes, &rest[length..]))
        }
        '0'..='7' => {
            let digits = text.get(1..4).filter(|d| d.bytes().all(|b| (b'0'..=b'7').contains(&b)))?;
            let number = u32::from_str_radix(digits, 8).ok()?;
            Some((vec![u8::try_from(number).ok()?], &text[4..]))
        }
        _ => None,
    }
}

/// What a Go string literal in double or back quotes says. None where Go answers `invalid syntax`.
pub fn unquote(literal: &str) -> Option<String> {
    let mark = literal.chars().next()?;
    let inner = literal.strip_prefix(mark)?.strip_suffix(mark)?;
    match mark {
        '`' => Some(inner.replace('\r', "")),
        '"' => {
            let mut bytes = Vec::with_capacity(inner.len());
            let mut rest = inner;
            while !rest.is_empty() {
                let (character, after) = unquote_char(rest, mark)?;
                bytes.extend(character);
                rest = after;
            }
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    }
}
