//! Tables, chains, rules, sets and elements of one transaction.

use super::Expressions;
use crate::netlink::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, Writer};

pub(super) const NFNL_SUBSYS: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
const DESTROYTABLE: u16 = 26;
const DESTROYCHAIN: u16 = 27;
const DESTROYSET: u16 = 29;
const DESTROYSETELEM: u16 = 30;

/// Elements of one message end here; the attribute that holds them can't pass 64 KiB, and one element is small.
const ELEMENT_LIST_BYTES_MAX: usize = 60_000;
/// Data type number that `nft` shows verdict maps with.
const TYPE_VERDICT: u32 = 0xffff_ff00;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Ip6].into_iter().find(|family| family.number() == number)
    }
}

/// How a table is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableFlags {
    /// It belongs to the socket that commits the batch: nobody else can change it, `flush ruleset` by others spares it, and
    /// it goes away when the socket is closed.
    pub owner: bool,
    /// Fail if it is there.
    pub exclusive: bool,
}

/// What a chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Accept and drop.
    Filter,
    /// Translate addresses; sees the first packet of each connection.
    Nat,
}

/// Where a chain is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// All that arrives.
    Prerouting,
    /// What is for this machine.
    Input,
    /// What passes through.
    Forward,
    /// What starts here.
    Output,
    /// All that leaves.
    Postrouting,
}

impl Hook {
    fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting]
            .into_iter()
            .find(|hook| hook.number() == number)
    }
}

/// What happens to a packet that reaches the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It goes on.
    Accept,
    /// It is dropped.
    Drop,
}

/// A chain that the kernel calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain {
    /// What it may do.
    pub kind: ChainKind,
    /// Where it is called.
    pub hook: Hook,
    /// Lower goes first; -100 is destination NAT, 0 filter, 100 source NAT.
    pub priority: i32,
    /// What happens at its end.
    pub policy: Policy,
}

/// Where a packet goes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Leaves this hook.
    Accept,
    /// Ends.
    Drop,
    /// Runs a chain and comes back.
    Jump(String),
    /// Runs a chain and does not come back.
    Goto(String),
    /// Back to the calling chain.
    Return,
}

impl Verdict {
    fn code(&self) -> i32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3,
            Self::Goto(_) => -4,
            Self::Return => -5,
        }
    }

    fn chain(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            _ => None,
        }
    }
}

/// What a map gives for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetData {
    /// A verdict.
    Verdict,
    /// That many bytes.
    Value {
        /// Type number, only for `nft list`.
        kind: u32,
        /// Bytes.
        length: u32,
    },
}

/// A set or map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    /// Its name in its table.
    pub name: String,
    /// Key type number, only for `nft list`.
    pub key_kind: u32,
    /// Bytes of each field of the key; more than one makes a concatenation.
    pub key_fields: Vec<u32>,
    /// A map gives this; none makes a set.
    pub data: Option<SetData>,
    /// Keys are ranges.
    pub interval: bool,
    /// It never changes, and is used only by rules of the same batch.
    pub constant: bool,
    /// Filled by packets ([`Expressions::dynset_update`]).
    pub dynamic: bool,
    /// Elements vanish after that many milliseconds.
    pub timeout_ms: Option<u64>,
    /// Most elements; required where packets fill it.
    pub size: Option<u32>,
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Key, each field padded to four bytes.
    pub key: Vec<u8>,
    /// Last key of the range (concatenated ranges).
    pub key_end: Option<Vec<u8>>,
    /// What a map gives.
    pub value: ElementValue,
    /// End of a range (plain intervals hold a second element with this flag).
    pub interval_end: bool,
}

/// What an element of a map holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementValue {
    /// Nothing: an element of a set.
    None,
    /// Bytes.
    Data(Vec<u8>),
    /// A verdict.
    Verdict(Verdict),
}

impl Element {
    /// An element of a set.
    pub fn key(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), key_end: None, value: ElementValue::None, interval_end: false }
    }

    /// An element of a map.
    pub fn data(key: impl Into<Vec<u8>>, data: impl Into<Vec<u8>>) -> Self {
        Self { value: ElementValue::Data(data.into()), ..Self::key(key) }
    }

    /// An element of a verdict map.
    pub fn verdict(key: impl Into<Vec<u8>>, verdict: Verdict) -> Self {
        Self { value: ElementValue::Verdict(verdict), ..Self::key(key) }
    }
}

/// One transaction being written.
#[derive(Debug)]
pub struct Batch {
    pub(super) writer: Writer,
    family: Family,
    sequence: u32,
    set_id: u32,
    /// What each message does, for errors; index is sequence number.
    operations: Vec<String>,
}

impl Batch {
    /// An empty transaction on tables of `family`.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self::build(family, None)
    }

    /// One that fails with ERESTART unless the ruleset's generation is still `generation` (see [`super::NftSocket::generation`]).
    #[must_use]
    pub fn at_generation(family: Family, generation: u32) -> Self {
        Self::build(family, Some(generation))
    }

    fn build(family: Family, generation: Option<u32>) -> Self {
        let mut batch = Self { writer: Writer::default(), family, sequence: 0, set_id: 0, operations: vec![] };
        batch.raw(BATCH_BEGIN, NLM_F_REQUEST, 0, 10, "begin the transaction".into(), |writer| {
            if let Some(generation) = generation {
                writer.u32_be(1, generation);
            }
        });
        batch
    }

    fn raw(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        operation: String,
        body: impl FnOnce(&mut Writer),
    ) {
        let mark = self.writer.begin_message(kind, flags, self.sequence);
        self.sequence += 1;
        self.operations.push(operation);
        self.writer.bytes.extend_from_slice(&[family, 0]);
        self.writer.bytes.extend_from_slice(&resource.to_be_bytes());
        body(&mut self.writer);
        self.writer.end_message(mark);
    }

    fn message(&mut self, kind: u16, flags: u16, operation: String, body: impl FnOnce(&mut Writer)) {
        self.raw(NFNL_SUBSYS | kind, NLM_F_REQUEST | flags, self.family.number(), 0, operation, body);
    }

    /// Ends the transaction; returns its bytes and the sequence number that acknowledges it.
    pub(super) fn finish(&mut self) -> (&[u8], u32) {
        self.raw(BATCH_END, NLM_F_REQUEST | NLM_F_ACK, 0, 10, "commit the transaction".into(), |_| {});
        (&self.writer.bytes, self.sequence - 1)
    }

    pub(super) fn operation(&self, sequence: u32) -> &str {
        self.operations.get(sequence as usize).map_or("commit the transaction", String::as_str)
    }

    /// Whether it does nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequence <= 1
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writer.bytes.len()
    }

    // === tables

    /// Makes a table; one that is there is fine unless `exclusive`.
    pub fn add_table(&mut self, table: &str, flags: TableFlags) {
        let create = NLM_F_CREATE | if flags.exclusive { NLM_F_EXCL } else { 0 };
        self.message(NEWTABLE, create, format!("add table {table}"), |writer| {
            const OWNER: u32 = 2;
            writer.string(1, table);
            writer.u32_be(2, if flags.owner { OWNER } else { 0 });
        });
    }

    /// Removes a table with all in it; fails if it is not there.
    pub fn delete_table(&mut self, table: &str) {
        self.message(DELTABLE, 0, format!("delete table {table}"), |writer| writer.string(1, table));
    }

    /// Removes a table with all in it; one that is not there is fine (Linux 6.3 and later).
    pub fn destroy_table(&mut self, table: &str) {
        self.message(DESTROYTABLE, 0, format!("destroy table {table}"), |writer| writer.string(1, table));
    }

    // === chains

    /// Makes a chain that rules jump to.
    pub fn add_chain(&mut self, table: &str, chain: &str) {
        self.message(NEWCHAIN, NLM_F_CREATE, format!("add chain {table} {chain}"), |writer| {
            writer.string(1, table);
            writer.string(3, chain);
        });
    }

    /// Makes a chain that the kernel calls.
    pub fn add_base_chain(&mut self, table: &str, chain: &str, base: BaseChain) {
        self.message(NEWCHAIN, NLM_F_CREATE, format!("add chain {table} {chain}"), |writer| {
            writer.string(1, table);
            writer.string(3, chain);
            let hook = writer.begin_nest(4);
            writer.u32_be(1, base.hook.number());
            writer.u32_be(2, base.priority.cast_unsigned());
            writer.end_nest(hook);
            writer.u32_be(5, if base.policy == Policy::Accept { 1 } else { 0 });
            writer.string(7, if base.kind == ChainKind::Nat { "nat" } else { "filter" });
        });
    }

    /// Removes an empty chain that nothing refers to.
    pub fn delete_chain(&mut self, table: &str, chain: &str) {
        self.message(DELCHAIN, 0, format!("delete chain {table} {chain}"), |writer| {
            writer.string(1, table);
            writer.string(3, chain);
        });
    }

    /// The same, and fine if it is not there.
    pub fn destroy_chain(&mut self, table: &str, chain: &str) {
        self.message(DESTROYCHAIN, 0, format!("destroy chain {table} {chain}"), |writer| {
            writer.string(1, table);
            writer.string(3, chain);
        });
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, table: &str, chain: &str) {
        self.message(DELRULE, 0, format!("flush chain {table} {chain}"), |writer| {
            writer.string(1, table);
            writer.string(2, chain);
        });
    }

    // === rules

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, table: &str, chain: &str, expressions: impl FnOnce(&mut Expressions<'_>)) {
        self.rule(table, chain, NLM_F_APPEND, None, expressions);
    }

    /// Adds a rule at the head of a chain, with a comment by which [`super::NftSocket::rules`] tells it.
    pub fn insert_rule(
        &mut self,
        table: &str,
        chain: &str,
        comment: &str,
        expressions: impl FnOnce(&mut Expressions<'_>),
    ) {
        self.rule(table, chain, 0, Some(comment), expressions);
    }

    fn rule(
        &mut self,
        table: &str,
        chain: &str,
        flags: u16,
        comment: Option<&str>,
        expressions: impl FnOnce(&mut Expressions<'_>),
    ) {
        self.message(NEWRULE, NLM_F_CREATE | flags, format!("add rule to {table} {chain}"), |writer| {
            writer.string(1, table);
            writer.string(2, chain);
            let list = writer.begin_nest(4);
            expressions(&mut Expressions { writer });
            writer.end_nest(list);
            if let Some(comment) = comment {
                // libnftnl's user data: type 0 is a comment, then its length, its bytes and a zero.
                let text = &comment.as_bytes()[..comment.len().min(127)];
                let mut data = vec![0, u8::try_from(text.len() + 1).expect("cut to 127")];
                data.extend_from_slice(text);
                data.push(0);
                writer.attribute(7, &data);
            }
        });
    }

    /// Removes one rule.
    pub fn delete_rule(&mut self, table: &str, chain: &str, handle: u64) {
        self.message(DELRULE, 0, format!("delete rule {handle} of {table} {chain}"), |writer| {
            writer.string(1, table);
            writer.string(2, chain);
            writer.u64_be(3, handle);
        });
    }

    // === sets and maps

    /// Makes a set or map. Returns the number by which elements and lookups of this batch may name it; 0 works too.
    pub fn add_set(&mut self, table: &str, set: &Set) -> u32 {
        self.set_id += 1;
        let id = self.set_id;
        self.message(NEWSET, NLM_F_CREATE, format!("add set {table} {}", set.name), |writer| {
            const CONSTANT: u32 = 2;
            const INTERVAL: u32 = 4;
            const MAP: u32 = 8;
            const TIMEOUT: u32 = 0x10;
            const EVAL: u32 = 0x20;
            const CONCAT: u32 = 0x80;
            let concatenated_ranges = set.interval && set.key_fields.len() > 1;
            let flag = |on: bool, bit: u32| if on { bit } else { 0 };
            writer.string(1, table);
            writer.string(2, &set.name);
            writer.u32_be(
                3,
                flag(set.constant, CONSTANT)
                    | flag(set.interval, INTERVAL)
                    | flag(set.data.is_some(), MAP)
                    | flag(set.timeout_ms.is_some(), TIMEOUT)
                    | flag(set.dynamic, EVAL)
                    | flag(concatenated_ranges, CONCAT),
            );
            writer.u32_be(4, set.key_kind);
            writer.u32_be(5, set.key_fields.iter().map(|length| length.next_multiple_of(4)).sum());
            match set.data {
                None => {}
                Some(SetData::Verdict) => {
                    writer.u32_be(6, TYPE_VERDICT);
                    writer.u32_be(7, 0);
                }
                Some(SetData::Value { kind, length }) => {
                    writer.u32_be(6, kind);
                    writer.u32_be(7, length);
                }
            }
            if concatenated_ranges || set.size.is_some() {
                let description = writer.begin_nest(9);
                if let Some(size) = set.size {
                    writer.u32_be(1, size);
                }
                if concatenated_ranges {
                    let fields = writer.begin_nest(2);
                    for length in &set.key_fields {
                        let field = writer.begin_nest(1);
                        writer.u32_be(1, *length);
                        writer.end_nest(field);
                    }
                    writer.end_nest(fields);
                }
                writer.end_nest(description);
            }
            writer.u32_be(10, id);
            if let Some(timeout) = set.timeout_ms {
                writer.u64_be(11, timeout);
            }
        });
        id
    }

    /// Removes a set that no rule uses; one that is not there is fine.
    pub fn destroy_set(&mut self, table: &str, set: &str) {
        self.message(DESTROYSET, 0, format!("destroy set {table} {set}"), |writer| {
            writer.string(1, table);
            writer.string(2, set);
        });
    }

    /// Adds elements; those that are there are fine if they hold the same.
    pub fn add_elements(&mut self, table: &str, set: &str, elements: &[Element]) {
        self.elements(NEWSETELEM, "add", table, set, elements);
    }

    /// Removes elements; fails if one is not there.
    pub fn delete_elements(&mut self, table: &str, set: &str, elements: &[Element]) {
        self.elements(DELSETELEM, "delete", table, set, elements);
    }

    /// Removes elements; those that are not there are fine (Linux 6.3 and later).
    pub fn destroy_elements(&mut self, table: &str, set: &str, elements: &[Element]) {
        self.elements(DESTROYSETELEM, "destroy", table, set, elements);
    }

    fn elements(&mut self, kind: u16, verb: &str, table: &str, set: &str, elements: &[Element]) {
        let mut rest = elements.iter().peekable();
        while rest.peek().is_some() {
            self.message(kind, NLM_F_CREATE, format!("{verb} elements of {table} {set}"), |writer| {
                writer.string(1, table);
                writer.string(2, set);
                let list = writer.begin_nest(3);
                while let Some(element) = rest.next_if(|_| writer.since(list) < ELEMENT_LIST_BYTES_MAX) {
                    write_element(writer, element);
                }
                writer.end_nest(list);
            });
        }
    }
}

fn write_element(writer: &mut Writer, element: &Element) {
    const INTERVAL_END: u32 = 1;
    let whole = writer.begin_nest(1);
    let key = writer.begin_nest(1);
    writer.attribute(1, &element.key);
    writer.end_nest(key);
    match &element.value {
        ElementValue::None => {}
        ElementValue::Data(bytes) => {
            let data = writer.begin_nest(2);
            writer.attribute(1, bytes);
            writer.end_nest(data);
        }
        ElementValue::Verdict(verdict) => {
            let data = writer.begin_nest(2);
            write_verdict(writer, verdict);
            writer.end_nest(data);
        }
    }
    if element.interval_end {
        writer.u32_be(3, INTERVAL_END);
    }
    if let Some(end) = &element.key_end {
        let key_end = writer.begin_nest(10);
        writer.attribute(1, end);
        writer.end_nest(key_end);
    }
    writer.end_nest(whole);
}

pub(super) fn write_verdict(writer: &mut Writer, verdict: &Verdict) {
    let nest = writer.begin_nest(2);
    writer.u32_be(1, verdict.code().cast_unsigned());
    if let Some(chain) = verdict.chain() {
        writer.string(2, chain);
    }
    writer.end_nest(nest);
}
