//! The writer: the only one that appends to the log and changes the keys.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{
    GROUP_MAX,
    group::{plan, record_bytes},
    housekeeping::{Housekeeper, NoSpare, PoisonOnPanic, Segment},
};
use crate::{
    CommitError, Committed, Op, Revision,
    log::{FrameKind, MARK_BYTES, Record, finish_frame, mark, put_record, start_frame},
};

/// A write with the place for its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) op: Op,
    pub(super) reply: oneshot::Sender<Result<Committed, CommitError>>,
}

type Answers = Vec<Result<Committed, CommitError>>;

/// The end of the log, and the way from a group of requests to their answers.
#[derive(Debug)]
pub(super) struct Writer {
    housekeeper: Arc<Housekeeper>,
    active: Segment,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// Whether something was written that no mark covers.
    unmarked: bool,
    /// Log bytes since the last snapshot was begun.
    logged_bytes: u64,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(housekeeper: Arc<Housekeeper>, (active, end): (Segment, u64), logged_bytes: u64) -> Writer {
        Writer { housekeeper, active, end, unmarked: false, logged_bytes, buffer: Vec::new() }
    }

    /// The writer thread: serves until all senders are gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>, group_bytes_max: usize) {
        let _poison = PoisonOnPanic(self.housekeeper.clone());
        let mut carried = None;
        let mut ops = Vec::with_capacity(GROUP_MAX);
        let mut replies = Vec::with_capacity(GROUP_MAX);
        loop {
            let first = match carried.take() {
                Some(request) => request,
                None => match requests.try_recv() {
                    Ok(request) => request,
                    Err(_) => {
                        self.quiet();
                        match requests.blocking_recv() {
                            Some(request) => request,
                            None => break,
                        }
                    }
                },
            };
            let mut bytes = record_bytes(&first.op);
            ops.push(first.op);
            replies.push(first.reply);
            while ops.len() < GROUP_MAX
                && let Ok(request) = requests.try_recv()
            {
                bytes += record_bytes(&request.op);
                if bytes > group_bytes_max {
                    carried = Some(request);
                    break;
                }
                ops.push(request.op);
                replies.push(request.reply);
            }
            let answers = self.commit(&ops);
            ops.clear();
            for (reply, answer) in replies.drain(..).zip(answers) {
                // A caller that went away has no use for the answer; its write took place.
                let _ = reply.send(answer);
            }
        }
        self.close();
    }

    /// Commits a group that fits into a frame, and answers in its order.
    pub(super) fn commit(&mut self, ops: &[Op]) -> Answers {
        if let Some(error) = self.housekeeper.health.poisoned() {
            return vec![Err(error); ops.len()];
        }
        let shared = self.housekeeper.shared.clone();
        let plan = shared.read(|state| plan(&state.keys, Revision(state.revision), ops));
        let (Some(first), count) = (plan.events.first(), plan.events.len()) else { return plan.answers };
        start_frame(&mut self.buffer);
        for event in &plan.events {
            let record = match &event.kv {
                Some(kv) => Record::Put { key: &kv.key, value: &kv.value },
                None => Record::Delete { key: &event.key },
            };
            put_record(&mut self.buffer, record);
        }
        let first = first.revision;
        if let Err(error) = self.make_room(first).and_then(|()| self.append(first, count as u32)) {
            return vec![Err(error); ops.len()];
        }
        self.housekeeper.count(count as u64);
        shared.publish(plan.events);
        self.keep_house();
        plan.answers
    }

    /// Goes on to the next segment if the frame in the buffer does not fit. Until it does, nothing is written.
    fn make_room(&mut self, revision: Revision) -> Result<(), CommitError> {
        // With padding to 8 bytes and the seal behind it.
        let needed = (self.buffer.len() + 8 + MARK_BYTES) as u64;
        if self.end + needed <= self.active.header.bytes {
            return Ok(());
        }
        let (next, end) = match self.housekeeper.take_spare() {
            Ok(next) => next,
            Err(NoSpare::Full) => return Err(self.housekeeper.health.full()),
            Err(NoSpare::Poisoned) => {
                return Err(self.housekeeper.health.poisoned().unwrap_or(CommitError::Closed));
            }
        };
        let seal = mark(FrameKind::Seal, self.active.header.salt, revision.0 - 1);
        let sealed = self.active.file.write_at(self.end, &seal).and_then(|()| self.active.file.sync_data());
        sealed.map_err(|error| self.housekeeper.health.poison("seal a log segment", &error))?;
        self.housekeeper.rolled(&next.header, revision);
        self.active = next;
        self.end = end;
        Ok(())
    }

    fn append(&mut self, revision: Revision, count: u32) -> Result<(), CommitError> {
        let poison = |action: &str, error: &std::io::Error| self.housekeeper.health.poison(action, error);
        finish_frame(&mut self.buffer, FrameKind::Group, self.active.header.salt, revision.0, count);
        self.active.file.write_at(self.end, &self.buffer).map_err(|error| poison("write to the log", &error))?;
        self.active.file.sync_data().map_err(|error| poison("sync the log", &error))?;
        self.end += self.buffer.len() as u64;
        self.logged_bytes += self.buffer.len() as u64;
        self.unmarked = true;
        Ok(())
    }

    /// Asks for what is due. Inline it is done when this returns.
    fn keep_house(&mut self) {
        self.housekeeper.request_spare();
        let live_bytes = self.housekeeper.shared.read(|state| state.live_bytes);
        if self.logged_bytes >= self.housekeeper.snapshot_bytes_min.max(live_bytes)
            && self.housekeeper.request_snapshot()
        {
            self.logged_bytes = 0;
        }
    }

    /// With nothing to do, says behind the last frame that it was synced. The next frame overwrites that.
    pub(super) fn quiet(&mut self) {
        if !std::mem::take(&mut self.unmarked) || self.housekeeper.health.poisoned().is_some() {
            return;
        }
        let revision = self.housekeeper.shared.read(|state| state.revision);
        let quiet = mark(FrameKind::Quiet, self.active.header.salt, revision);
        if let Err(error) = self.active.file.write_at(self.end, &quiet) {
            self.housekeeper.health.poison("write to the log", &error);
        }
    }

    /// The last thing: makes the mark durable.
    pub(super) fn close(&mut self) {
        self.quiet();
        if self.housekeeper.health.poisoned().is_none()
            && let Err(error) = self.active.file.sync_data()
        {
            self.housekeeper.health.poison("sync the log", &error);
        }
        self.housekeeper.stop();
    }
}
