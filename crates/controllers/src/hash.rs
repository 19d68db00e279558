//! The hash that names what is made from a template.

/// The alphabet of hashes: as for generated names, no vowels and no look-alikes.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a template's JSON and of a collision count: FNV-1a in the alphabet of generated names. Upstream hashes a
/// Go dump of the struct; length and alphabet are the same, the value is not and nothing depends on it.
pub(crate) fn of_template(mut json: Vec<u8>, collisions: Option<i32>) -> String {
    if let Some(count) = collisions {
        json.extend_from_slice(&count.to_le_bytes());
    }
    let hash = json.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|b| ALPHABET[usize::from(b) % ALPHABET.len()] as char).collect()
}
