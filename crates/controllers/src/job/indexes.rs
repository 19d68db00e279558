//! Sets of completion indexes, kept as intervals and written as `0,2-5,7` (upstream: `indexed_job_utils.go`).

use std::collections::BTreeSet;

/// A set of indexes: ordered intervals that neither overlap nor touch. Both ends belong to an interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    intervals: Vec<(i32, i32)>,
}

impl Indexes {
    /// Reads the written form. Indexes of `completions` and above are left out, and so is what is no interval: the text
    /// comes from a status or a policy that somebody may have written by hand.
    pub(super) fn parse(text: &str, completions: i32) -> Self {
        let mut indexes = Self::default();
        for interval in text.split(',') {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
                if first >= completions {
                    break;
                }
                indexes.push(first, last.min(completions - 1));
            }
        }
        indexes
    }

    /// Adds an interval that begins no earlier than the last one.
    fn push(&mut self, first: i32, last: i32) {
        match self.intervals.last_mut() {
            Some(end) if first <= end.1.saturating_add(1) => end.1 = end.1.max(last),
            _ if first <= last => self.intervals.push((first, last)),
            _ => {}
        }
    }

    /// The indexes of both.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all: Vec<_> = self.intervals.iter().chain(&other.intervals).copied().collect();
        all.sort_unstable();
        let mut union = Self::default();
        for (first, last) in all {
            union.push(first, last);
        }
        union
    }

    /// How many there are.
    pub(super) fn len(&self) -> i32 {
        self.intervals.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Whether `index` is among them.
    pub(super) fn contains(&self, index: i32) -> bool {
        let at = self.intervals.partition_point(|(_, last)| *last < index);
        self.intervals.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// How many are in both.
    pub(super) fn overlap(&self, other: &Self) -> i32 {
        let shared = |a: &(i32, i32), b: &(i32, i32)| (a.1.min(b.1) - a.0.max(b.0) + 1).max(0);
        self.intervals.iter().map(|a| other.intervals.iter().map(|b| shared(a, b)).sum::<i32>()).sum()
    }

    /// The first `count` indexes below `completions` that are not among them.
    pub(super) fn first_missing(&self, count: usize, completions: i32) -> Vec<i32> {
        let mut missing = Vec::new();
        let mut next = 0;
        for (first, last) in &self.intervals {
            missing.extend((next..(*first).min(completions)).take(count - missing.len()));
            next = next.max(last.saturating_add(1));
        }
        missing.extend((next..completions).take(count - missing.len()));
        missing
    }
}

impl FromIterator<i32> for Indexes {
    fn from_iter<I: IntoIterator<Item = i32>>(indexes: I) -> Self {
        let mut collected = Self::default();
        for index in indexes.into_iter().collect::<BTreeSet<_>>() {
            collected.push(index, index);
        }
        collected
    }
}

impl std::fmt::Display for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (first, last)) in self.intervals.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
