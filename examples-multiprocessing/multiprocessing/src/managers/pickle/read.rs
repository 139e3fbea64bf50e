//! The reader: builds nodes in one table, then values of them.
//!
//! Pickles share: a list that was stored in the memo may be fetched again and grow
//! afterwards. So containers hold the numbers of their items until the end and become
//! values only then, each once. Every recursion on what the bytes say is counted, and
//! memory is charged before it is taken. What is shared is charged wherever it occurs:
//! whatever walks over a value meets it as often.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::RandomState;
use std::{mem, str};

use hashlink::LinkedHashMap;

use super::classes::{self, Class, Kind};
use super::opcode::{
    ADDITEMS, APPEND, APPENDS, BINBYTES, BINBYTES8, BINFLOAT, BINGET, BININT,
    BININT1, BININT2, BINPUT, BINUNICODE, BINUNICODE8, BUILD, BYTEARRAY8, DUP,
    EMPTY_DICT, EMPTY_LIST, EMPTY_SET, EMPTY_TUPLE, FRAME, FROZENSET, GLOBAL,
    LONG_BINGET, LONG_BINPUT, LONG1, LONG4, MARK, MEMOIZE, NEWFALSE, NEWOBJ,
    NEWOBJ_EX, NEWTRUE, NONE, POP, POP_MARK, PROTO, REDUCE, SETITEM, SETITEMS,
    SHORT_BINBYTES, SHORT_BINUNICODE, STACK_GLOBAL, STOP, TUPLE, TUPLE1, TUPLE2,
    TUPLE3,
};
use super::semantics::{Key, places_of_first};
use super::value::{
    BigInt, MadeBy, Object, ProxyRef, Shared, Token, Value, int_from_bytes,
};
use super::{MAX_DEPTH, MAX_MEMORY, PickleError};
use crate::managers::Address;

/// The number of a node.
type Id = u32;

/// What the stack holds, in a form that may still change.
enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    BigInt(BigInt),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    ByteArray(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in turn.
    Dict(Vec<Id>),
    Set(Vec<Id>),
    FrozenSet(Vec<Id>),
    Class(Class),
    Instance(Instance),
}

struct Instance {
    class: Id,
    made_by: MadeBy,
    args: Id,
    state: Option<Id>,
    /// What is appended once it is made, if it is of a class that takes items.
    items: Option<Vec<Id>>,
    /// Keys and values in turn, if it is of a class that takes them.
    entries: Option<Vec<Id>>,
}

/// How much memory may still be taken.
#[derive(Clone, Copy)]
struct Memory(usize);

impl Memory {
    fn charge(&mut self, bytes: usize) -> Step {
        self.0 = self.0.checked_sub(bytes).ok_or(PickleError::TooBig)?;
        Ok(())
    }

    /// Charges what the allocator takes for this number of bytes.
    fn charge_allocation(&mut self, bytes: usize) -> Step {
        match bytes {
            0 => Ok(()),
            bytes => self.charge(bytes.next_multiple_of(ALIGNMENT) + ALIGNMENT),
        }
    }
}

/// What malloc rounds sizes up to, and adds to each for itself.
const ALIGNMENT: usize = 16;

pub(in crate::managers) struct Reader<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// The height of the stack at each mark that is still open.
    marks: Vec<usize>,
    memo: Vec<Id>,
    /// The nodes that may occur several times.
    repeated: HashMap<Id, Repeated>,
    memory: Memory,
}

/// A node that may occur several times. It becomes a value where it occurs first.
enum Repeated {
    NotMade,
    /// Its value is being made: where it occurs now, it contains itself. It is refused at
    /// once, because each level down to the deepest would reserve memory for all of its
    /// items again.
    BeingMade,
    Made {
        value: Value,
        /// What each occurrence is charged.
        memory: usize,
        /// How many levels it has below its own.
        height: usize,
    },
}

type Step<T = ()> = Result<T, PickleError>;

const MALFORMED_STACK: PickleError =
    PickleError::Malformed("it takes more from the stack than there is");

impl<'a> Reader<'a> {
    pub(in crate::managers) fn new(pickle: &'a [u8]) -> Self {
        Self {
            rest: pickle,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            repeated: HashMap::new(),
            memory: Memory(MAX_MEMORY),
        }
    }

    pub(in crate::managers) fn read(&mut self) -> Step<Value> {
        self.read_with(&mut |_| {})
    }

    /// Reads a value. `keep` gets every proxy in it, to put there what keeps the object
    /// alive.
    pub(in crate::managers) fn read_with(
        &mut self,
        keep: &mut dyn FnMut(&mut ProxyRef),
    ) -> Step<Value> {
        loop {
            let operation = self.byte()?;
            if operation == STOP {
                break;
            }
            self.step(operation)?;
        }
        if !self.rest.is_empty() {
            return Err(PickleError::Malformed("bytes follow its end"));
        }
        let (&[id], []) = (self.stack.as_slice(), self.marks.as_slice()) else {
            return Err(PickleError::Malformed(
                "it ends with no value or with several",
            ));
        };
        let mut values = Values {
            nodes: &self.nodes,
            repeated: mem::take(&mut self.repeated),
            deepest: 0,
            memory: self.memory,
            keep,
        };
        let value = values.value(id, 0)?;
        self.memory = values.memory;
        Ok(value)
    }

    /// How much memory it took to read, in bytes.
    pub(in crate::managers) fn memory_taken(&self) -> usize {
        MAX_MEMORY - self.memory.0
    }

    fn step(&mut self, operation: u8) -> Step {
        match operation {
            PROTO => self.protocol(),
            FRAME => self.frame(),
            NONE | NEWTRUE | NEWFALSE | BININT1 | BININT2 | BININT | LONG1
            | LONG4 | BINFLOAT => self.push_scalar(operation),
            SHORT_BINUNICODE | BINUNICODE | BINUNICODE8 | SHORT_BINBYTES
            | BINBYTES | BINBYTES8 | BYTEARRAY8 => self.push_text(operation),
            EMPTY_TUPLE => self.push(Node::Tuple(Vec::new())),
            EMPTY_LIST => self.push(Node::List(Vec::new())),
            EMPTY_DICT => self.push(Node::Dict(Vec::new())),
            EMPTY_SET => self.push(Node::Set(Vec::new())),
            TUPLE1 | TUPLE2 | TUPLE3 | TUPLE | FROZENSET => {
                self.build_from_stack(operation)
            }
            APPEND | APPENDS | ADDITEMS | SETITEM | SETITEMS => self.fill(operation),
            MARK | POP | POP_MARK | DUP => self.move_stack(operation),
            MEMOIZE | BINPUT | LONG_BINPUT | BINGET | LONG_BINGET => {
                self.use_memo(operation)
            }
            GLOBAL | STACK_GLOBAL => self.find_class(operation),
            REDUCE | NEWOBJ | NEWOBJ_EX => self.make_instance(operation),
            BUILD => self.set_state(),
            unknown => Err(PickleError::UnknownOperation(unknown)),
        }
    }

    /// The operations themselves say what a protocol allows; its number is only checked.
    fn protocol(&mut self) -> Step {
        match self.byte()? {
            0..=5 => Ok(()),
            _ => Err(PickleError::Malformed("its protocol is newer than 5")),
        }
    }

    fn frame(&mut self) -> Step {
        if self.length8()? > self.rest.len() {
            return Err(PickleError::Truncated);
        }
        Ok(())
    }

    fn push_scalar(&mut self, operation: u8) -> Step {
        let node = match operation {
            NONE => Node::None,
            NEWTRUE => Node::Bool(true),
            NEWFALSE => Node::Bool(false),
            BININT1 => Node::Int(self.byte()?.into()),
            BININT2 => Node::Int(u16::from_le_bytes(self.array()?).into()),
            BININT => Node::Int(i32::from_le_bytes(self.array()?).into()),
            LONG1 => {
                let length = self.byte()?.into();
                self.long(length)?
            }
            LONG4 => {
                let length = self.length4()?;
                self.long(length)?
            }
            _ => Node::Float(f64::from_be_bytes(self.array()?)),
        };
        self.push(node)
    }

    fn push_text(&mut self, operation: u8) -> Step {
        let length = match operation {
            SHORT_BINUNICODE | SHORT_BINBYTES => self.byte()?.into(),
            BINUNICODE | BINBYTES => self.length4()?,
            _ => self.length8()?,
        };
        let node = match operation {
            SHORT_BINUNICODE | BINUNICODE | BINUNICODE8 => {
                Node::Str(self.text(length)?)
            }
            BYTEARRAY8 => Node::ByteArray(self.bytes(length)?),
            _ => Node::Bytes(self.bytes(length)?),
        };
        self.push(node)
    }

    fn build_from_stack(&mut self, operation: u8) -> Step {
        let items = match operation {
            TUPLE1 => self.take(1)?,
            TUPLE2 => self.take(2)?,
            TUPLE3 => self.take(3)?,
            _ => self.take_to_mark()?,
        };
        self.push(match operation {
            FROZENSET => Node::FrozenSet(items),
            _ => Node::Tuple(items),
        })
    }

    /// Adds items to the container below them on the stack.
    fn fill(&mut self, operation: u8) -> Step {
        let items = match operation {
            APPEND => self.take(1)?,
            SETITEM => self.take(2)?,
            _ => self.take_to_mark()?,
        };
        let id = self.top()?;
        let takes = match operation {
            APPEND | APPENDS => Takes::Items,
            ADDITEMS => Takes::Members,
            _ => Takes::Entries,
        };
        let held = match (&mut self.nodes[id as usize], takes) {
            (Node::List(held), Takes::Items)
            | (Node::Set(held), Takes::Members)
            | (Node::Dict(held), Takes::Entries) => Some(held),
            (Node::Instance(instance), Takes::Items) => instance.items.as_mut(),
            (Node::Instance(instance), Takes::Entries) => instance.entries.as_mut(),
            _ => None,
        };
        match held {
            Some(held)
                if takes != Takes::Entries || items.len().is_multiple_of(2) =>
            {
                // Twice: a growing vector may have as much capacity unused.
                self.memory.charge(2 * items.len() * size_of::<Id>())?;
                held.extend(items);
                Ok(())
            }
            _ => Err(PickleError::Malformed(
                "items are added to what has no such items",
            )),
        }
    }

    fn move_stack(&mut self, operation: u8) -> Step {
        match operation {
            MARK => {
                self.memory.charge(size_of::<usize>())?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            DUP => self.push_again(self.top()?),
            POP_MARK => self.take_to_mark().map(drop),
            // POP takes a mark, too.
            _ if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
                Ok(())
            }
            _ => self.pop().map(drop),
        }
    }

    fn use_memo(&mut self, operation: u8) -> Step {
        let index = match operation {
            MEMOIZE => self.memo.len(),
            BINPUT | BINGET => self.byte()?.into(),
            _ => self.length4()?,
        };
        match operation {
            BINGET | LONG_BINGET => self.recall(index),
            _ => self.remember(index, self.top()?),
        }
    }

    fn find_class(&mut self, operation: u8) -> Step {
        let (module, name) = if operation == GLOBAL {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.nodes[module as usize], &self.nodes[name as usize]) {
                (&Node::Str(module), &Node::Str(name)) => (module, name),
                _ => {
                    return Err(PickleError::Malformed(
                        "the name of a class is not a text",
                    ));
                }
            }
        };
        match classes::find(module, name) {
            Some(class) => self.push(Node::Class(class)),
            None => Err(PickleError::unknown_class(module, name)),
        }
    }

    fn make_instance(&mut self, operation: u8) -> Step {
        if operation == NEWOBJ_EX {
            let kwargs = self.pop()?;
            let is_empty = matches!(
                &self.nodes[kwargs as usize],
                Node::Dict(items) if items.is_empty()
            );
            if !is_empty {
                return Err(PickleError::Malformed(
                    "an object is made with keyword arguments",
                ));
            }
        }
        let (args, class) = (self.pop()?, self.pop()?);
        let made_by = match operation {
            REDUCE => MadeBy::Call,
            _ => MadeBy::New,
        };
        let Node::Class(known) = &self.nodes[class as usize] else {
            return Err(PickleError::Malformed("what is called is not a class"));
        };
        let (items, entries) = match known.kind {
            Kind::Deque => (Some(Vec::new()), None),
            Kind::OrderedDict | Kind::DefaultDict => (None, Some(Vec::new())),
            _ => (None, None),
        };
        self.push(Node::Instance(Instance {
            class,
            made_by,
            args,
            state: None,
            items,
            entries,
        }))
    }

    fn set_state(&mut self) -> Step {
        let new_state = self.pop()?;
        let id = self.top()?;
        match &mut self.nodes[id as usize] {
            Node::Instance(instance) => {
                instance.state = Some(new_state);
                Ok(())
            }
            _ => Err(PickleError::Malformed(
                "a state is set on what cannot have one",
            )),
        }
    }

    // The bytes.

    fn bytes(&mut self, count: usize) -> Step<&'a [u8]> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(PickleError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(PickleError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Step<u8> {
        self.array().map(|[byte]| byte)
    }

    fn length4(&mut self) -> Step<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length8(&mut self) -> Step<usize> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| PickleError::Truncated)
    }

    fn text(&mut self, length: usize) -> Step<&'a str> {
        str::from_utf8(self.bytes(length)?)
            .map_err(|_| PickleError::Malformed("a text is not UTF-8"))
    }

    fn line(&mut self) -> Step<&'a str> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let line = self.text(end.ok_or(PickleError::Truncated)?)?;
        self.bytes(1)?;
        Ok(line)
    }

    fn long(&mut self, length: usize) -> Step<Node<'a>> {
        let bytes = self.bytes(length)?;
        self.memory.charge_allocation(length)?;
        Ok(match int_from_bytes(bytes) {
            Value::BigInt(value) => Node::BigInt(value),
            Value::Int(value) => Node::Int(value),
            _ => unreachable!("an int is one of the two"),
        })
    }

    // The machine.

    fn push(&mut self, node: Node<'a>) -> Step {
        // Twice: a growing vector may have as much capacity unused.
        self.memory.charge(2 * size_of::<Node>())?;
        // The budget keeps the numbers far below their limit.
        let id = self.nodes.len() as Id;
        self.nodes.push(node);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Step {
        self.memory.charge(2 * size_of::<Id>())?;
        self.stack.push(id);
        Ok(())
    }

    /// Pushes what was pushed before.
    fn push_again(&mut self, id: Id) -> Step {
        if let Entry::Vacant(new) = self.repeated.entry(id) {
            self.memory.charge(BYTES_PER_REPEATED)?;
            new.insert(Repeated::NotMade);
        }
        self.push_id(id)
    }

    /// The height below which nothing is taken from the stack: that of the last open mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Id> {
        if self.stack.len() <= self.floor() {
            return Err(MALFORMED_STACK);
        }
        self.stack.pop().ok_or(MALFORMED_STACK)
    }

    fn top(&self) -> Step<Id> {
        if self.stack.len() <= self.floor() {
            return Err(MALFORMED_STACK);
        }
        self.stack.last().copied().ok_or(MALFORMED_STACK)
    }

    fn take(&mut self, count: usize) -> Step<Vec<Id>> {
        let left = self.stack.len().checked_sub(count);
        match left.filter(|&left| left >= self.floor()) {
            Some(left) => self.take_from(left),
            None => Err(MALFORMED_STACK),
        }
    }

    fn take_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop();
        self.take_from(mark.ok_or(PickleError::Malformed("a mark is missing"))?)
    }

    fn take_from(&mut self, left: usize) -> Step<Vec<Id>> {
        let bytes = (self.stack.len() - left) * size_of::<Id>();
        self.memory.charge_allocation(bytes)?;
        // Not `split_off`, which leaves the capacity of the whole stack behind.
        Ok(self.stack.drain(left..).collect())
    }

    /// Python numbers what it stores one by one; other numbers would be a way to claim
    /// memory.
    fn remember(&mut self, index: usize, id: Id) -> Step {
        if let Some(place) = self.memo.get_mut(index) {
            *place = id;
        } else if index == self.memo.len() {
            self.memory.charge(2 * size_of::<Id>())?;
            self.memo.push(id);
        } else {
            return Err(PickleError::Malformed("it stores out of order"));
        }
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Step {
        match self.memo.get(index) {
            Some(&id) => self.push_again(id),
            None => Err(PickleError::Malformed("it fetches what it never stored")),
        }
    }
}

/// What a container may be filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Items,
    Members,
    Entries,
}

/// Makes values of a finished table of nodes.
struct Values<'n, 'a> {
    nodes: &'n [Node<'a>],
    repeated: HashMap<Id, Repeated>,
    /// The deepest level of the values made so far.
    deepest: usize,
    memory: Memory,
    keep: &'n mut dyn FnMut(&mut ProxyRef),
}

impl<'n, 'a> Values<'n, 'a> {
    fn node(&self, id: Id) -> &'n Node<'a> {
        &self.nodes[id as usize]
    }

    /// The value of a node.
    fn value(&mut self, id: Id, depth: usize) -> Step<Value> {
        if depth >= MAX_DEPTH {
            return Err(PickleError::TooDeep);
        }
        match self.repeated.get_mut(&id) {
            None => {
                self.deepest = self.deepest.max(depth);
                self.make(id, depth)
            }
            Some(Repeated::Made {
                value,
                memory,
                height,
            }) => {
                if depth + *height >= MAX_DEPTH {
                    return Err(PickleError::TooDeep);
                }
                self.deepest = self.deepest.max(depth + *height);
                self.memory.charge(*memory)?;
                Ok(value.clone())
            }
            Some(Repeated::BeingMade) => Err(PickleError::TooDeep),
            Some(state @ Repeated::NotMade) => {
                *state = Repeated::BeingMade;
                let before = self.memory;
                let deepest = mem::replace(&mut self.deepest, depth);
                let value = self.make(id, depth)?;
                let made = Repeated::Made {
                    value: value.clone(),
                    memory: before.0 - self.memory.0,
                    height: self.deepest - depth,
                };
                self.deepest = self.deepest.max(deepest);
                self.repeated.insert(id, made);
                Ok(value)
            }
        }
    }

    /// Makes the value of a node.
    fn make(&mut self, id: Id, depth: usize) -> Step<Value> {
        self.memory.charge(size_of::<Value>())?;
        if !matches!(
            self.node(id),
            Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_)
        ) {
            self.memory.charge(BYTES_PER_SHARED)?;
        }
        Ok(match self.node(id) {
            Node::None => Value::None,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Float(value) => Value::Float(*value),
            Node::BigInt(value) => {
                self.memory.charge_allocation(value.bytes().len())?;
                Value::BigInt(value.clone())
            }
            Node::Str(text) => {
                self.memory.charge_allocation(text.len())?;
                Value::Str(Shared::from(*text))
            }
            Node::Bytes(bytes) => {
                self.memory.charge_allocation(bytes.len())?;
                Value::Bytes(bytes.to_vec().into())
            }
            Node::ByteArray(bytes) => {
                self.memory.charge_allocation(bytes.len())?;
                Value::ByteArray(bytes.to_vec().into())
            }
            Node::Tuple(items) => Value::Tuple(self.values(items, depth)?.into()),
            Node::List(items) => Value::List(self.values(items, depth)?.into()),
            Node::Set(items) => Value::Set(self.members(items, depth)?.into()),
            Node::FrozenSet(items) => {
                Value::FrozenSet(self.members(items, depth)?.into())
            }
            Node::Dict(items) => Value::Dict(self.entries(items, depth)?.into()),
            Node::Class(class) => class.as_value().ok_or(PickleError::Malformed(
                "only a class of plain data can be sent as a value",
            ))?,
            Node::Instance(instance) => self.instance(instance, depth)?,
        })
    }

    fn values(&mut self, items: &[Id], depth: usize) -> Step<Vec<Value>> {
        if !items.is_empty() {
            self.memory.charge(ALIGNMENT)?;
        }
        // Not `collect`, which cannot know the length of what may fail and so reserves
        // up to twice as much. The values themselves are charged one by one.
        let mut values = Vec::with_capacity(items.len());
        for &item in items {
            values.push(self.value(item, depth + 1)?);
        }
        Ok(values)
    }

    /// The members of a set: what can be hashed, each once.
    fn members(&mut self, items: &[Id], depth: usize) -> Step<Vec<Value>> {
        let members = self.values(items, depth)?;
        self.unique(members)
    }

    fn unique(&mut self, members: Vec<Value>) -> Step<Vec<Value>> {
        if members.len() < 2 && members.iter().all(is_surely_hashable) {
            return Ok(members);
        }
        self.memory.charge(members.len() * BYTES_PER_FINGERPRINT)?;
        let places = places_of_first(&members.iter().collect::<Vec<_>>())
            .map_err(PickleError::Unhashable)?;
        let members = members.into_iter().zip(places);
        let first = members.filter(|(_, place)| *place != usize::MAX);
        Ok(first.map(|(member, _)| member).collect())
    }

    fn entries(&mut self, items: &[Id], depth: usize) -> Step<Vec<(Value, Value)>> {
        let (pairs, _) = items.as_chunks::<2>();
        let mut entries = Vec::with_capacity(pairs.len());
        for &[key, value] in pairs {
            let key = self.value(key, depth + 1)?;
            entries.push((key, self.value(value, depth + 1)?));
        }
        if entries.len() < 2
            && entries.iter().all(|(key, _)| is_surely_hashable(key))
        {
            return Ok(entries);
        }
        self.memory.charge(entries.len() * BYTES_PER_FINGERPRINT)?;
        let keys: Vec<_> = entries.iter().map(|(key, _)| key).collect();
        let places = places_of_first(&keys).map_err(PickleError::Unhashable)?;
        if !places.contains(&usize::MAX) {
            return Ok(entries);
        }
        self.last_values(entries)
    }

    /// As Python does, each key at the place of its first value, with its last.
    fn last_values(
        &mut self,
        entries: Vec<(Value, Value)>,
    ) -> Step<Vec<(Value, Value)>> {
        let mut unique = LinkedHashMap::<Key, Value, RandomState>::default();
        self.memory
            .charge(entries.len() * 2 * size_of::<(Key, Value)>())?;
        for (key, value) in entries {
            let key = Key::new(key).map_err(PickleError::Unhashable)?;
            match unique.get_mut(&key) {
                Some(held) => *held = value,
                None => {
                    unique.insert(key, value);
                }
            }
        }
        let entries = unique.into_iter();
        Ok(entries
            .map(|(key, value)| (key.into_value(), value))
            .collect())
    }

    fn instance(&mut self, instance: &Instance, depth: usize) -> Step<Value> {
        let Node::Class(class) = self.node(instance.class) else {
            unreachable!("an instance is only made of a class");
        };
        let Node::Tuple(arg_ids) = self.node(instance.args) else {
            return Err(PickleError::Malformed("arguments are not a tuple"));
        };
        if class.kind == Kind::RebuildProxy {
            return self.proxy(arg_ids, depth);
        }
        // An Object is the largest of what becomes of it, but for the texts that others
        // have.
        self.memory
            .charge_allocation(size_of::<Object>() + BYTES_PER_NAMES)?;
        let args = self.values(arg_ids, depth)?;
        let state = instance.state;
        let state = state.map(|id| self.value(id, depth + 1)).transpose()?;
        let made = match class.kind {
            Kind::Token => token(state).map(Box::new).map(Value::Token),
            Kind::List => sequence(args).map(Value::from),
            Kind::Set | Kind::FrozenSet => match sequence(args) {
                Some(members) => {
                    let members = self.unique(members)?;
                    Some(match class.kind {
                        Kind::Set => Value::Set(members.into()),
                        _ => Value::FrozenSet(members.into()),
                    })
                }
                None => None,
            },
            Kind::ByteArray => match args.as_slice() {
                [] => Some(Value::ByteArray(Vec::new().into())),
                [Value::Bytes(bytes)] => Some(Value::ByteArray(bytes.clone())),
                _ => None,
            },
            Kind::Data | Kind::Deque | Kind::OrderedDict | Kind::DefaultDict => {
                let items = instance.items.as_deref().unwrap_or_default();
                let entries = instance.entries.as_deref().unwrap_or_default();
                Some(Value::Object(Shared::from(Object {
                    module: class.module,
                    name: class.name,
                    made_by: instance.made_by,
                    args,
                    state,
                    items: self.values(items, depth)?,
                    entries: self.entries(entries, depth)?,
                })))
            }
            // Its state, if it has one, only repeats the arguments.
            Kind::Exception => Some(Value::Exception(class.exception(args).into())),
            Kind::RebuildProxy | Kind::ProxyType | Kind::Type => None,
        };
        made.ok_or(PickleError::Malformed(
            "a class is called with other arguments than it takes",
        ))
    }

    /// `RebuildProxy(class, token, 'pickle', kwargs)`
    fn proxy(&mut self, args: &[Id], depth: usize) -> Step<Value> {
        let mut proxy = if let &[class, token, _serializer, kwargs] = args
            && let Node::Class(class) = self.node(class)
            && class.kind == Kind::ProxyType
            && let Value::Token(token) = self.value(token, depth + 1)?
            && let Value::Dict(kwargs) = self.value(kwargs, depth + 1)?
        {
            let exposed = kwargs.iter().find_map(|(key, value)| match key {
                Value::Str(key) if **key == "exposed" => names(value),
                _ => None,
            });
            ProxyRef {
                token: *token,
                class: class.name.into(),
                exposed,
                keeper: None,
            }
        } else {
            return Err(PickleError::Malformed("a proxy lacks its parts"));
        };
        (self.keep)(&mut proxy);
        Ok(Value::Proxy(proxy.into()))
    }
}

/// What the names in an exception, a token or a proxy take.
const BYTES_PER_NAMES: usize = 192;

/// What the allocator takes for content that can be shared, without what it contains.
const BYTES_PER_SHARED: usize = size_of::<Vec<Value>>() + 2 * ALIGNMENT;

/// What is remembered of each node that may occur several times.
const BYTES_PER_REPEATED: usize = 2 * size_of::<(Id, Repeated)>();

/// What finding equal members takes for each.
const BYTES_PER_FINGERPRINT: usize = 64;

/// Whether a value can be hashed without looking into it.
fn is_surely_hashable(value: &Value) -> bool {
    matches!(
        value,
        Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
    )
}

/// The one argument of `list`, `set` and `frozenset`.
fn sequence(args: Vec<Value>) -> Option<Vec<Value>> {
    let mut args = args.into_iter();
    match (args.next(), args.next()) {
        (None, _) => Some(Vec::new()),
        (Some(Value::List(items) | Value::Tuple(items)), None) => {
            Some(items.into_inner())
        }
        _ => None,
    }
}

fn names(value: &Value) -> Option<Vec<String>> {
    let (Value::Tuple(items) | Value::List(items)) = value else {
        return None;
    };
    items
        .iter()
        .map(|item| match item {
            Value::Str(name) => Some(name.to_string()),
            _ => None,
        })
        .collect()
}

/// A token's state: `(typeid, address, ident)`.
fn token(state: Option<Value>) -> Option<Token> {
    let Some(Value::Tuple(parts)) = state else {
        return None;
    };
    let [Value::Str(typeid), address, Value::Str(ident)] = parts.as_slice() else {
        return None;
    };
    Some(Token {
        typeid: typeid.to_string(),
        address: address_of(address)?,
        ident: ident.to_string(),
    })
}

fn address_of(value: &Value) -> Option<Address> {
    match value {
        Value::Tuple(parts) => match parts.as_slice() {
            [Value::Str(host), Value::Int(port)] => Some(Address::Tcp {
                host: host.to_string(),
                port: u16::try_from(*port).ok()?,
            }),
            _ => None,
        },
        Value::Str(path) => Some(match path.strip_prefix('\0') {
            Some(name) => Address::Abstract(name.into()),
            None => Address::Unix(path.as_str().into()),
        }),
        Value::Bytes(name) => Some(Address::Abstract(
            name.strip_prefix(b"\0").unwrap_or(name).to_vec(),
        )),
        _ => None,
    }
}
