//! Fields that occur twice in one object. `serde_json::Value` keeps the last one silently, so this looks at the bytes.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::StrictError;

/// Most faults that are kept for one document, as upstream.
pub(super) const STRICT_ERRORS_MAX: usize = 100;

/// The fields that occur twice in one object of the JSON document, in upstream's words (`duplicate field "spec.x"`);
/// nothing if the bytes are no JSON, which decoding reports better.
pub fn duplicate_fields(json: &[u8]) -> Vec<StrictError> {
    let mut found = Vec::new();
    let mut path = String::new();
    let mut decoder = serde_json::Deserializer::from_slice(json);
    // A syntax error ends the walk; whoever decodes the document reports it.
    let _ = Walk { path: &mut path, found: &mut found }.deserialize(&mut decoder);
    found
}

struct Walk<'a> {
    path: &'a mut String,
    found: &'a mut Vec<StrictError>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<(), D::Error> {
        decoder.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let length = self.path.len();
        let mut index = 0_usize;
        loop {
            self.path.push_str(&format!("[{index}]"));
            let more = items.next_element_seed(Walk { path: self.path, found: self.found })?;
            self.path.truncate(length);
            if more.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let length = self.path.len();
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if seen.contains(&key) {
                let fault = StrictError::Duplicate(self.path.clone());
                if !self.found.contains(&fault) {
                    self.found.push(fault);
                }
                if self.found.len() >= STRICT_ERRORS_MAX {
                    return Err(A::Error::custom("enough"));
                }
            }
            entries.next_value_seed(Walk { path: self.path, found: self.found })?;
            self.path.truncate(length);
            seen.insert(key);
        }
        Ok(())
    }
}
