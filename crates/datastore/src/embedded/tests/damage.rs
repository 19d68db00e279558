//! Bytes that are not what was written: refused with the place, or harmless, never believed.

use super::{OpenError, commit, commit_busy, keys, open, put};
use crate::{Datastore, Disk, Revision, SimulatedDisk, log::SEGMENT_HEADER_BYTES, names};

/// A copy of a disk, with one file changed or (`None`) gone.
fn copy(disk: &SimulatedDisk, change: &str, bytes: Option<Vec<u8>>) -> SimulatedDisk {
    let copy = SimulatedDisk::new(1);
    for name in disk.list().expect("simulated") {
        if name != change {
            copy.overwrite(&name, disk.read(&name).expect("it is listed"));
        }
    }
    if let Some(bytes) = bytes {
        copy.overwrite(change, bytes);
    }
    copy
}

/// `file@offset: what` of a refusal, or what was opened.
fn verdict(disk: &SimulatedDisk) -> String {
    let before: Vec<_> = files(disk);
    match open(disk) {
        Ok(store) => match &store.recovery().torn {
            Some(torn) => format!("opened at {}, {}@{} torn", store.revision(), torn.file, torn.offset),
            None => format!("opened at {}", store.revision()),
        },
        Err(OpenError::Corrupt { file, offset, what, .. }) => {
            assert_eq!(files(disk), before, "nothing is changed in a damaged store");
            format!("{file}@{offset}: {what}")
        }
        Err(error) => format!("{error}"),
    }
}

fn files(disk: &SimulatedDisk) -> Vec<(String, Option<Vec<u8>>)> {
    disk.list().expect("simulated").into_iter().map(|name| (name.clone(), disk.read(&name))).collect()
}

/// One segment with ten groups; where each begins, then the end.
fn ten_groups() -> (SimulatedDisk, Vec<usize>) {
    let disk = SimulatedDisk::new(5);
    let store = open(&disk).expect("an empty disk opens");
    let mut starts = vec![SEGMENT_HEADER_BYTES as usize];
    for i in 0..10 {
        for answer in commit(&store, &[put(&format!("/{i}"), vec![b'v'; 300 + i]), put("/same", vec![b'w'; 200])]) {
            answer.expect("the disk is fine");
        }
        let super::Backend::Inline(writer) = &store.backend else { unreachable!("opened inline") };
        starts.push(writer.lock().end as usize);
    }
    // Not closed: what is read is what a killed process leaves.
    let image = copy(&disk, "", None);
    (image, starts)
}

#[test]
fn any_flipped_bit_is_refused_with_its_frame() {
    let (disk, starts) = ten_groups();
    let name = names::segment(1);
    let bytes = disk.read(&name).expect("it exists");
    let end = *starts.last().expect("not empty");
    for at in (0..end).step_by(13) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let found = verdict(&copy(&disk, &name, Some(flipped)));
        let frame = starts.iter().rev().find(|start| **start <= at).copied().unwrap_or(0);
        let expected = match frame {
            0 => format!("{name}@0: "),
            _ => format!("{name}@{frame}: this frame is damaged"),
        };
        assert!(found.starts_with(&expected), "bit at {at}: {found}");
    }
}

#[test]
fn what_is_no_crash_is_refused() {
    let (disk, starts) = ten_groups();
    let name = names::segment(1);
    let bytes = disk.read(&name).expect("it exists");
    let end = *starts.last().expect("not empty");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        verdict(&copy(&disk, &name, Some(bytes)))
    };
    let page = 4096..8192;
    let behind = starts.iter().find(|start| **start >= page.end).expect("the log is longer");
    let expected =
        format!("{name}@4096: this frame is damaged: a whole group at byte {behind} was written after it was synced");
    assert_eq!(changed(&|bytes| bytes[page.clone()].fill(0)), expected);
    for cut in [1, 30, 512, 5000] {
        let expected = format!(
            "{name}@0: the file has {} bytes but was made with {}: it was cut or grew",
            bytes.len() - cut,
            bytes.len()
        );
        assert_eq!(changed(&|bytes| bytes.truncate(bytes.len() - cut)), expected);
    }
    // Cut and filled up again by a file system's repair: the last group and its mark are gone, the one before is not covered by more.
    let ninth = starts[9];
    assert_eq!(changed(&|bytes| bytes[ninth + 8..].fill(0)), format!("opened at 19, {name}@{ninth} torn"));
    // The mark alone is no loss.
    assert_eq!(changed(&|bytes| bytes[end] ^= 1), format!("opened at 21, {name}@{end} torn"));
}

#[test]
fn missing_and_swapped_files_are_refused() {
    let disk = SimulatedDisk::new(6);
    let store = open(&disk).expect("an empty disk opens");
    for i in 0..70 {
        commit(&store, &[put(&format!("/{}", i % 20), vec![b'v'; 1000])])[0].clone().expect("the disk is fine");
    }
    let stats = store.stats();
    let snapshot = names::snapshot(stats.snapshot.expect("enough was written for a snapshot").0);
    let logs: Vec<_> = disk.list().expect("simulated").into_iter().filter(|name| name.starts_with("log-")).collect();
    assert!(logs.len() >= 3, "two in use and a spare: {logs:?}");
    let (first, last) = (&logs[0], &logs[logs.len() - 2]);
    assert_eq!(verdict(&copy(&disk, "", None)), "opened at 71");
    assert_eq!(verdict(&copy(&disk, first, None)), format!("{first}@0: the segment is missing"));
    let found = verdict(&copy(&disk, last, None));
    assert!(found.starts_with(&format!("{last}@0: the segment is missing")), "{found}");
    let without_tail = copy(&disk, last, None);
    without_tail.remove(&logs[logs.len() - 1]).expect("the spare exists");
    let found = verdict(&without_tail);
    assert!(found.ends_with(&format!("the log goes on in {last}, which is missing")), "{found}");
    let found = verdict(&copy(&disk, &snapshot, None));
    assert!(found.contains("is missing"), "{found}");
    let found = verdict(&copy(&disk, names::FORMAT, None));
    assert!(found.starts_with("format@0: the file is missing"), "{found}");
    let found = verdict(&copy(&disk, first, disk.read(last)));
    assert!(found.starts_with(&format!("{first}@0: this is segment")), "{found}");
    let spare = &logs[logs.len() - 1];
    let mut written = disk.read(spare).expect("the spare exists");
    written[9000] = 1;
    let found = verdict(&copy(&disk, spare, Some(written)));
    assert_eq!(found, format!("{spare}@9000: the log ends in {last} but this later segment holds data"));

    let bytes = disk.read(&snapshot).expect("it exists");
    for at in (0..bytes.len()).step_by(101) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 16;
        let found = verdict(&copy(&disk, &snapshot, Some(flipped)));
        assert!(found.starts_with(&format!("{snapshot}@")), "bit at {at}: {found}");
    }
    for cut in [1, 9, 2000] {
        let found = verdict(&copy(&disk, &snapshot, Some(bytes[..bytes.len() - cut].to_vec())));
        assert!(found.ends_with("the snapshot is cut off"), "{found}");
    }
}

#[test]
fn a_torn_group_is_cut_and_reported() {
    let disk = SimulatedDisk::new(7);
    let store = open(&disk).expect("an empty disk opens");
    commit_busy(&store, &[put("/a", vec![1; 700])]);
    let name = names::segment(1);
    let before = disk.read(&name).expect("it exists");
    let expected = keys(&store, None);
    commit_busy(&store, &[put("/b", vec![2; 3000])]);
    let after = disk.read(&name).expect("it exists");
    let changed: Vec<usize> =
        (0..before.len() / 512).filter(|s| before[s * 512..][..512] != after[s * 512..][..512]).collect();
    assert!(changed.len() >= 6);
    for lost in &changed {
        let mut torn = after.clone();
        torn[lost * 512..][..512].copy_from_slice(&before[lost * 512..][..512]);
        let image = copy(&disk, &name, Some(torn));
        let store = open(&image).expect("a crash is repaired");
        assert_eq!(store.revision(), Revision(2), "sector {lost}");
        assert_eq!(keys(&store, None), expected);
        let torn = store.recovery().torn.clone().expect("it is reported");
        assert_eq!((torn.file, torn.offset), (name.clone(), 4096 + 736));
    }
}
