//! The engine against a plain map, with random operations from a seed.

use super::{Keys, Random, apply, commit, keys, open};
use crate::{CommitError, Datastore, Event, Expect, Op, ReadError, Revision, SimulatedDisk, Watch};

#[derive(Default)]
struct Model {
    /// All keys at each revision from 1.
    states: Vec<Keys>,
    /// The operation that made each revision from 2.
    ops: Vec<Op>,
}

impl Model {
    fn at(&self, revision: u64) -> &Keys {
        &self.states[revision as usize - 1]
    }

    fn now(&self) -> &Keys {
        self.states.last().expect("it begins with one")
    }

    fn revision(&self) -> u64 {
        self.states.len() as u64
    }

    /// What the store must answer.
    fn commit(&mut self, op: &Op) -> Result<u64, &'static str> {
        let found = self.now().get(&**op.key());
        let (Op::Put { expect, .. } | Op::Delete { expect, .. }) = op;
        if matches!(op, Op::Delete { .. }) && found.is_none() {
            return Err("not found");
        }
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::ModRevision(revision) => found.is_some_and(|found| found.2 == revision.0),
        };
        if !holds {
            return Err("conflict");
        }
        let revision = self.revision() + 1;
        let mut next = self.now().clone();
        apply(&mut next, op, revision);
        self.states.push(next);
        self.ops.push(op.clone());
        Ok(revision)
    }

    fn check_event(&self, event: &Event) {
        let revision = event.revision.0;
        let flat = |kv: &crate::KeyValue| (kv.value.clone(), kv.create_revision.0, kv.mod_revision.0, kv.version);
        assert_eq!(*event.key, **self.ops[revision as usize - 2].key());
        assert_eq!(event.kv.as_deref().map(flat).as_ref(), self.at(revision).get(&*event.key));
        assert_eq!(event.prev.as_deref().map(flat).as_ref(), self.at(revision - 1).get(&*event.key));
    }
}

fn random_op(random: &mut Random, model: &Model) -> Op {
    let kind = ["pods", "pods", "leases"][random.below(3) as usize];
    let key: std::sync::Arc<str> = format!("/registry/{kind}/{}", random.below(12)).into();
    let expect = match random.below(4) {
        0 => Expect::Absent,
        1 => Expect::ModRevision(Revision(model.now().get(&*key).map_or(3, |found| found.2))),
        2 => Expect::ModRevision(Revision(1 + random.below(model.revision()))),
        _ => Expect::Any,
    };
    match random.below(4) {
        0 => Op::Delete { key, expect },
        _ => Op::Put { key, value: random.value(900), expect },
    }
}

fn check_paging(store: &super::EmbeddedStore, model: &Model, at: u64, limit: usize) {
    let expected: Vec<_> = model.at(at).keys().filter(|key| key.starts_with("/registry/pods/")).collect();
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .range("/registry/pods/", after.as_deref(), limit, Some(Revision(at)))
            .expect("the revision is in the window");
        assert_eq!(page.revision, Revision(at));
        found.extend(page.items.iter().map(|kv| kv.key.to_string()));
        assert_eq!(page.remaining, (expected.len() - found.len()) as u64);
        assert_eq!(page.more, page.remaining > 0);
        if !page.more {
            break;
        }
        after = found.last().cloned();
    }
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

fn drain(watch: &mut Watch, prefix: &str, seen: &mut u64, model: &Model) {
    while let Some(events) = watch.try_next().expect("it is drained often enough") {
        for event in events {
            let between =
                (*seen + 1..event.revision.0).filter(|r| model.ops[*r as usize - 2].key().starts_with(prefix));
            assert_eq!(between.count(), 0, "an event was left out");
            model.check_event(&event);
            *seen = event.revision.0;
        }
    }
    assert_eq!(watch.position().0, model.revision());
}

#[test]
fn random_operations_agree_with_a_map() {
    for seed in 100..108 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random(seed);
        let mut model = Model { states: vec![Keys::new()], ops: Vec::new() };
        let mut store = open(&disk).expect("an empty disk opens");
        let mut seen = 1;
        let mut watch = store.watch("/registry/pods/", Revision(0)).expect("a fresh store has all history");
        for step in 0..400 {
            let ops: Vec<_> = (0..1 + random.below(4)).map(|_| random_op(&mut random, &model)).collect();
            for (op, answer) in ops.iter().zip(commit(&store, &ops)) {
                match (model.commit(op), answer) {
                    (Ok(revision), Ok(committed)) => assert_eq!(committed.revision.0, revision),
                    (Err("conflict"), Err(CommitError::Conflict { key, found })) => {
                        let found = found.map(|kv| kv.mod_revision.0);
                        assert_eq!(found, model.now().get(&*key).map(|found| found.2));
                    }
                    (Err("not found"), Err(CommitError::NotFound { key })) => assert_eq!(key, *op.key()),
                    (expected, found) => panic!("seed {seed} step {step}: {op:?}: {expected:?} but {found:?}"),
                }
            }
            assert_eq!(store.revision().0, model.revision());
            drain(&mut watch, "/registry/pods/", &mut seen, &model);
            let oldest = store.compacted().0.max(1);
            let at = oldest + random.below(model.revision() - oldest + 1);
            match random.below(8) {
                0 => assert_eq!(keys(&store, Some(Revision(at))), *model.at(at), "seed {seed} step {step}"),
                1 => check_paging(&store, &model, at, 1 + random.below(4) as usize),
                2 => {
                    let key = format!("/registry/pods/{}", random.below(12));
                    let found = store.get(&key, Some(Revision(at))).expect("the revision is in the window");
                    assert_eq!(found.map(|kv| kv.mod_revision.0), model.at(at).get(&key).map(|found| found.2));
                }
                3 if oldest > 1 => {
                    let gone = store.get("/x", Some(Revision(oldest - 1)));
                    let current = store.revision();
                    let compacted = Revision(oldest);
                    assert_eq!(gone, Err(ReadError::Compacted { requested: Revision(oldest - 1), compacted, current }));
                }
                4 if step % 10 == 0 => {
                    let revision = store.revision();
                    drop(store);
                    store = open(&disk).expect("a closed store opens");
                    assert_eq!(store.revision(), revision);
                    assert!(store.compacted().0.max(1) <= oldest, "a restart forgets no history");
                    watch = store.watch("/registry/pods/", revision).expect("the present can be watched from");
                }
                _ => {}
            }
        }
        assert_eq!(keys(&store, None), *model.now());
    }
}
