//! Makes bad input out of good input, from a seed.

use component_base::Random;
use serde_json::{Map, Value, json};

/// Pieces that parsers have stumbled over.
const PIECES: [&str; 20] = [
    "\0",
    "\u{feff}",
    "\u{2028}",
    "é",
    "---\n",
    "...",
    "&a ",
    "*a",
    "!!binary ",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ": ",
    "- ",
    "9223372036854775808",
    "1e999",
];

/// A copy of `text` with a few changes.
pub(crate) fn text(random: &Random, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(characters.len() as u64 + 1) as usize;
        match random.below(5) {
            0 => {
                let end = (at + random.below(8) as usize).min(characters.len());
                characters.drain(at..end);
            }
            1 => {
                let piece = PIECES[random.below(PIECES.len() as u64) as usize];
                characters.splice(at..at, piece.chars());
            }
            2 => {
                let from = random.below(characters.len() as u64 + 1) as usize;
                let copied: Vec<char> = characters[from..(from + 16).min(characters.len())].to_vec();
                characters.splice(at..at, copied);
            }
            3 => characters.truncate(at),
            _ => {
                if let Some(character) = characters.get_mut(at) {
                    *character = char::from_u32(random.below(0x250) as u32).unwrap_or(' ');
                }
            }
        }
    }
    characters.into_iter().collect()
}

/// A copy of `bytes` with a few changes.
pub(crate) fn bytes(random: &Random, bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(changed.len() as u64 + 1) as usize;
        match random.below(4) {
            0 => changed.truncate(at),
            1 => changed.insert(at, random.below(256) as u8),
            2 => {
                let end = (at + random.below(8) as usize).min(changed.len());
                changed.drain(at..end);
            }
            _ => {
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    changed
}

/// A copy of `value` in which something somewhere is of another type, gone, doubled or a directive.
pub(crate) fn value(random: &Random, value: &Value) -> Value {
    let mut changed = value.clone();
    for _ in 0..=random.below(3) {
        change(random, &mut changed);
    }
    changed
}

fn change(random: &Random, value: &mut Value) {
    // Go down for as long as chance has it.
    match value {
        Value::Object(map) if !map.is_empty() && random.below(4) > 0 => {
            let at = random.below(map.len() as u64) as usize;
            if let Some((_, inner)) = map.iter_mut().nth(at) {
                return change(random, inner);
            }
        }
        Value::Array(list) if !list.is_empty() && random.below(4) > 0 => {
            let at = random.below(list.len() as u64) as usize;
            return change(random, &mut list[at]);
        }
        _ => {}
    }
    match value {
        Value::Object(map) if random.below(2) == 0 => directive(random, map),
        Value::Array(list) if random.below(2) == 0 => {
            let copy = list.first().cloned().unwrap_or(Value::Null);
            list.push(copy);
        }
        other => {
            let others = [
                Value::Null,
                json!(true),
                json!(-1),
                json!("x"),
                json!([]),
                json!({}),
                json!([null]),
                json!({"name": 1}),
            ];
            *other = others[random.below(others.len() as u64) as usize].clone();
        }
    }
}

fn directive(random: &Random, map: &mut Map<String, Value>) {
    let names: Vec<String> = map.keys().cloned().collect();
    let one = names.get(random.below(names.len().max(1) as u64) as usize).cloned().unwrap_or_default();
    let (key, value) = match random.below(6) {
        0 => ("$patch".to_owned(), json!("delete")),
        1 => ("$patch".to_owned(), json!("replace")),
        2 => ("$retainKeys".to_owned(), json!(names)),
        3 => (format!("$setElementOrder/{one}"), json!([{"name": "a"}, "b", 1])),
        4 => (format!("$deleteFromPrimitiveList/{one}"), json!(["a", 1])),
        _ => ("$patch".to_owned(), json!({"merge": []})),
    };
    map.insert(key, value);
}
