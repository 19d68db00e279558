//! Randomness as an argument: names, uids, jitter and tie-breaks come from one seeded generator.
//! Keys and tokens do not: those take `ring`'s system randomness.

use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};

/// The alphabet of generated name suffixes: no vowels and no look-alikes, so that no words appear
/// (upstream: `k8s.io/apimachinery/pkg/util/rand`).
const NAME_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A seeded generator (SplitMix64) that can be shared between tasks.
#[derive(Debug)]
pub struct Random {
    state: Mutex<u64>,
}

impl Random {
    /// The generator that `seed` determines.
    pub fn from_seed(seed: u64) -> Self {
        Self { state: Mutex::new(seed) }
    }

    /// A generator whose seed comes from the system.
    pub fn from_system() -> Self {
        let mut seed = [0; 8];
        SystemRandom::new().fill(&mut seed).expect("the system's random source answers on Linux");
        Self::from_seed(u64::from_ne_bytes(seed))
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        // Multiply-shift keeps the bias under 2^-32 for every bound used here.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    pub fn unit(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `length` characters of the alphabet that generated names use.
    pub fn name_suffix(&self, length: usize) -> String {
        (0..length).map(|_| NAME_ALPHABET[self.below(NAME_ALPHABET.len() as u64) as usize] as char).collect()
    }

    /// A version 4 UUID in its usual text form.
    pub fn uuid(&self) -> String {
        let high = (self.next_u64() & 0xffff_ffff_ffff_0fff) | 0x4000;
        let low = (self.next_u64() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests;
