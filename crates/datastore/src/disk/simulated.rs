//! A disk in memory that behaves as badly as a real one may: what was not synced is lost in part, sector by sector, when the power fails.
//!
//! Everything is decided by the seed. Names are made durable as journaling file systems do it: after a crash the directory has all
//! changes up to the last `sync_dir` and some first part of the later ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Disk, DiskFile, DiskLock, LockError};

/// Disks write sectors of this size whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A seeded [`Disk`] in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

/// What the disk would hold if the power had failed at one moment.
#[derive(Clone, Debug)]
pub struct CrashImage {
    /// The disk after the crash, ready to be opened.
    pub disk: SimulatedDisk,
    /// What [`SimulatedDisk::set_note`] said at that moment.
    pub note: u64,
    /// The moment, for messages.
    pub moment: String,
}

/// An operation that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOp {
    /// Making a file.
    Create,
    /// Writing to a file. A part of the data is written nevertheless.
    Write,
    /// Making data durable.
    SyncData,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Making names durable.
    SyncDir,
}

/// One failure to come.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which operation fails.
    pub op: FaultOp,
    /// Only on files whose name contains this.
    pub name_contains: &'static str,
    /// How many such operations pass before.
    pub after: u32,
    /// How it fails.
    pub error: io::ErrorKind,
}

#[derive(Debug)]
struct State {
    random: u64,
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    faults: Vec<Fault>,
    capacity_bytes: Option<u64>,
    images_per_moment: u32,
    images: Vec<CrashImage>,
    note: u64,
    locked: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced_sectors: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, usize),
    /// One change: a crash never shows both names or none.
    Rename {
        from: String,
        to: String,
    },
    Remove(String),
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk {
            state: Arc::new(Mutex::new(State {
                random: seed,
                files: Vec::new(),
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                unsynced_names: Vec::new(),
                faults: Vec::new(),
                capacity_bytes: None,
                images_per_moment: 0,
                images: Vec::new(),
                note: 0,
                locked: false,
            })),
        }
    }

    /// Makes one operation fail.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Limits the bytes of all files together (none: no limit). A write beyond fails as on a full disk, before anything is written.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// The bytes of all files together.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// From now on keeps so many crash images of each moment at which durability changes hands.
    pub fn record_crashes(&self, images_per_moment: u32) {
        self.state.lock().images_per_moment = images_per_moment;
    }

    /// The images kept since the last call.
    pub fn take_crashes(&self) -> Vec<CrashImage> {
        std::mem::take(&mut self.state.lock().images)
    }

    /// Marks later images, for instance with what was acknowledged so far.
    pub fn set_note(&self, note: u64) {
        self.state.lock().note = note;
    }

    /// The disk as it might be if the power failed now.
    pub fn crash(&self) -> SimulatedDisk {
        self.state.lock().crash()
    }

    /// A file's bytes, as a reader sees them.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        state.names.get(name).map(|id| state.files[*id].live.clone())
    }

    /// Replaces a file's bytes durably, behind the back of whoever uses the disk.
    pub fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state.lock();
        let id = state.files.len();
        state.files.push(File { live: bytes.clone(), durable: bytes, unsynced_sectors: BTreeSet::new() });
        state.names.insert(name.to_owned(), id);
        state.durable_names.insert(name.to_owned(), id);
    }
}

impl State {
    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random() % limit
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|id| self.files[*id].live.len() as u64).sum()
    }

    fn fail(&mut self, op: FaultOp, name: &str) -> io::Result<()> {
        let hit = self.faults.iter_mut().position(|fault| {
            if fault.op != op || !name.contains(fault.name_contains) {
                return false;
            }
            let now = fault.after == 0;
            fault.after = fault.after.saturating_sub(1);
            now
        });
        match hit {
            Some(i) => Err(io::Error::new(self.faults.remove(i).error, "injected")),
            None => Ok(()),
        }
    }

    fn moment(&mut self, what: &str, name: &str) {
        for _ in 0..self.images_per_moment {
            let image = CrashImage { disk: self.crash(), note: self.note, moment: format!("{what} {name}") };
            self.images.push(image);
        }
    }

    fn crash(&mut self) -> SimulatedDisk {
        let after = SimulatedDisk::new(self.random());
        let mut names = self.durable_names.clone();
        let kept = self.below(self.unsynced_names.len() as u64 + 1) as usize;
        for change in &self.unsynced_names[..kept] {
            change.apply(&mut names);
        }
        let mut state = after.state.lock();
        for (name, id) in names {
            let bytes = self.surviving_bytes(id);
            let id = state.files.len();
            state.names.insert(name.clone(), id);
            state.durable_names.insert(name, id);
            state.files.push(File { live: bytes.clone(), durable: bytes, unsynced_sectors: BTreeSet::new() });
        }
        drop(state);
        after
    }

    fn surviving_bytes(&mut self, id: usize) -> Vec<u8> {
        let longer = self.files[id].live.len() > self.files[id].durable.len();
        let grown = longer && self.below(2) == 0;
        // Nothing, everything, all but one, and three shades between.
        let mode = self.below(6);
        let unsynced = self.files[id].unsynced_sectors.clone();
        let spared = self.below(unsynced.len().max(1) as u64) as usize;
        let mut bytes = self.files[id].durable.clone();
        if grown {
            bytes.resize(self.files[id].live.len(), 0);
        }
        for (i, sector) in unsynced.into_iter().enumerate() {
            let survives = match mode {
                0 => false,
                1 => true,
                2 => i != spared,
                3 => self.below(10) == 0,
                4 => self.below(2) == 0,
                _ => self.below(10) != 0,
            };
            let live = &self.files[id].live;
            let from = sector * SECTOR_BYTES;
            let to = (from + SECTOR_BYTES).min(live.len()).min(bytes.len());
            if survives && from < to {
                bytes[from..to].copy_from_slice(&live[from..to]);
            }
        }
        bytes
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name.to_owned()))
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, id) => {
                names.insert(name.clone(), *id);
            }
            NameChange::Rename { from, to } => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn location(&self) -> String {
        "(simulated)".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let id = self.state.lock().find(name)?;
        Ok(Box::new(Handle { state: self.state.clone(), id, name: name.to_owned() }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.fail(FaultOp::Create, name)?;
        let id = state.files.len();
        state.files.push(File::default());
        state.change_names(NameChange::Create(name.to_owned(), id));
        Ok(Box::new(Handle { state: self.state.clone(), id, name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.fail(FaultOp::Rename, from)?;
        state.find(from)?;
        state.moment("rename", from);
        state.change_names(NameChange::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.fail(FaultOp::Remove, name)?;
        state.find(name)?;
        state.moment("remove", name);
        state.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.moment("sync directory", "");
        state.fail(FaultOp::SyncDir, "")?;
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        state.moment("synced directory", "");
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn DiskLock>, LockError> {
        let mut state = self.state.lock();
        if state.locked {
            return Err(LockError::Held { holder: "this test".to_owned() });
        }
        state.locked = true;
        Ok(Box::new(Guard { state: self.state.clone() }))
    }

    fn salt(&self) -> io::Result<u64> {
        Ok(self.state.lock().random())
    }
}

#[derive(Debug)]
struct Guard {
    state: Arc<Mutex<State>>,
}

impl DiskLock for Guard {}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.lock().locked = false;
    }
}

#[derive(Debug)]
struct Handle {
    state: Arc<Mutex<State>>,
    id: usize,
    name: String,
}

impl DiskFile for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().files[self.id].live.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        let from = offset as usize;
        let bytes = state.files[self.id].live.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let end = offset as usize + data.len();
        let growth = end.saturating_sub(state.files[self.id].live.len()) as u64;
        if growth > 0 && state.capacity_bytes.is_some_and(|capacity| state.used_bytes() + growth > capacity) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let failed = state.fail(FaultOp::Write, &self.name);
        let written = if failed.is_err() { state.below(data.len() as u64 + 1) as usize } else { data.len() };
        let file = &mut state.files[self.id];
        let end = offset as usize + written;
        if file.live.len() < end {
            file.live.resize(end, 0);
        }
        file.live[offset as usize..end].copy_from_slice(&data[..written]);
        if written > 0 {
            file.unsynced_sectors.extend(offset as usize / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
        failed
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.moment("sync", &self.name);
        state.fail(FaultOp::SyncData, &self.name)?;
        let file = &mut state.files[self.id];
        let sectors = std::mem::take(&mut file.unsynced_sectors);
        file.durable.resize(file.live.len(), 0);
        for sector in sectors {
            let from = sector * SECTOR_BYTES;
            let to = (from + SECTOR_BYTES).min(file.live.len());
            file.durable[from..to].copy_from_slice(&file.live[from..to]);
        }
        state.moment("synced", &self.name);
        Ok(())
    }
}
