//! The reader: builds nodes in one table, then values of them.
//!
//! Python's pickles share: a list that was stored may be fetched again and grow
//! afterwards. So containers hold the numbers of their items until the end, and only
//! then become values, copied wherever they are shared. Nothing here recurses on what
//! the bytes say without counting, and no memory is taken that was not counted first.

use std::str;

use super::classes::{self, Class, Kind};
use super::value::{BigInt, MadeBy, Object, ProxyRef, Token, Value, int_from_bytes};
use super::{MAX_DEPTH, MAX_MEMORY, PickleError};
use crate::managers::Address;

/// The number of a node.
type Id = u32;

/// What is on the stack machine's stack, in a form that may still change.
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
}

/// How much memory may still be taken.
#[derive(Clone, Copy)]
struct Memory(usize);

impl Memory {
    fn charge(&mut self, bytes: usize) -> Step {
        self.0 = self.0.checked_sub(bytes).ok_or(PickleError::TooBig)?;
        Ok(())
    }
}

pub(in crate::managers) struct Reader<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// How high the stack was at each mark that is still open.
    marks: Vec<usize>,
    memo: Vec<Id>,
    memory: Memory,
    /// Whether a proxy was among the values, for those who look for them.
    has_proxies: bool,
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
            memory: Memory(MAX_MEMORY),
            has_proxies: false,
        }
    }

    pub(in crate::managers) fn read(&mut self) -> Step<Value> {
        loop {
            let operation = self.byte()?;
            if operation == b'.' {
                break;
            }
            self.step(operation)?;
        }
        if !self.rest.is_empty() {
            return Err(PickleError::Malformed("bytes follow its end"));
        }
        let (&[id], []) = (self.stack.as_slice(), self.marks.as_slice()) else {
            return Err(PickleError::Malformed("it ends with other than one value"));
        };
        let mut values = Values {
            nodes: &self.nodes,
            memory: self.memory,
            has_proxies: false,
        };
        let value = values.value(id, 0)?;
        self.has_proxies = values.has_proxies;
        Ok(value)
    }

    pub(in crate::managers) fn has_proxies(&self) -> bool {
        self.has_proxies
    }

    fn step(&mut self, operation: u8) -> Step {
        match operation {
            0x80 => {
                // The protocol; the operations tell it better.
                if self.byte()? > 5 {
                    return Err(PickleError::Malformed(
                        "its protocol is newer than 5",
                    ));
                }
            }
            0x95 => {
                let length = self.length8()?;
                if length > self.rest.len() {
                    return Err(PickleError::Truncated);
                }
            }
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'K' => {
                let value = self.byte()?;
                self.push(Node::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))?;
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))?;
            }
            0x8a => {
                let length = self.byte()?.into();
                self.long(length)?;
            }
            0x8b => {
                let length = self.length4()?;
                self.long(length)?;
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value))?;
            }
            0x8c | b'X' | 0x8d => {
                let length = self.length(operation, [0x8c, b'X'])?;
                let text = self.text(length)?;
                self.push(Node::Str(text))?;
            }
            b'C' | b'B' | 0x8e => {
                let length = self.length(operation, [b'C', b'B'])?;
                let bytes = self.bytes(length)?;
                self.push(Node::Bytes(bytes))?;
            }
            0x96 => {
                let length = self.length8()?;
                let bytes = self.bytes(length)?;
                self.push(Node::ByteArray(bytes))?;
            }
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b']' => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            0x8f => self.push(Node::Set(Vec::new()))?,
            0x85..=0x87 => {
                let count = usize::from(operation - 0x84);
                let items = self.take(count)?;
                self.push(Node::Tuple(items))?;
            }
            b't' => {
                let items = self.take_to_mark()?;
                self.push(Node::Tuple(items))?;
            }
            0x91 => {
                let items = self.take_to_mark()?;
                self.push(Node::FrozenSet(items))?;
            }
            b'(' => {
                self.memory.charge(size_of::<usize>())?;
                self.marks.push(self.stack.len());
            }
            b'a' => {
                let items = self.take(1)?;
                self.add(Adds::Items, items)?;
            }
            b'e' => {
                let items = self.take_to_mark()?;
                self.add(Adds::Items, items)?;
            }
            0x90 => {
                let items = self.take_to_mark()?;
                self.add(Adds::Members, items)?;
            }
            b's' => {
                let items = self.take(2)?;
                self.add(Adds::Entries, items)?;
            }
            b'u' => {
                let items = self.take_to_mark()?;
                self.add(Adds::Entries, items)?;
            }
            0x94 => {
                let id = self.top()?;
                self.remember(self.memo.len(), id)?;
            }
            b'q' => {
                let index = self.byte()?.into();
                let id = self.top()?;
                self.remember(index, id)?;
            }
            b'r' => {
                let index = self.length4()?;
                let id = self.top()?;
                self.remember(index, id)?;
            }
            b'h' => {
                let index = self.byte()?.into();
                self.recall(index)?;
            }
            b'j' => {
                let index = self.length4()?;
                self.recall(index)?;
            }
            b'2' => {
                let id = self.top()?;
                self.push_id(id)?;
            }
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => {
                self.take_to_mark()?;
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.class(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module as usize], &self.nodes[name as usize]) {
                    (&Node::Str(module), &Node::Str(name)) => {
                        self.class(module, name)?;
                    }
                    _ => {
                        return Err(PickleError::Malformed(
                            "the name of a class is no text",
                        ));
                    }
                }
            }
            b'R' => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.instance(class, MadeBy::Call, args)?;
            }
            0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.instance(class, MadeBy::New, args)?;
            }
            0x92 => {
                let (kwargs, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                match &self.nodes[kwargs as usize] {
                    Node::Dict(items) if items.is_empty() => {
                        self.instance(class, MadeBy::New, args)?;
                    }
                    _ => {
                        return Err(PickleError::Malformed(
                            "an object is made with keyword arguments",
                        ));
                    }
                }
            }
            b'b' => {
                let new_state = self.pop()?;
                let id = self.top()?;
                match &mut self.nodes[id as usize] {
                    Node::Instance(instance) => instance.state = Some(new_state),
                    _ => {
                        return Err(PickleError::Malformed(
                            "a state is set on what has none",
                        ));
                    }
                }
            }
            unknown => return Err(PickleError::UnknownOperation(unknown)),
        }
        Ok(())
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

    /// The length that goes with the short, the medium or the long form.
    fn length(&mut self, operation: u8, [short, medium]: [u8; 2]) -> Step<usize> {
        if operation == short {
            self.byte().map(usize::from)
        } else if operation == medium {
            self.length4()
        } else {
            self.length8()
        }
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

    fn long(&mut self, length: usize) -> Step {
        let bytes = self.bytes(length)?;
        self.memory.charge(length)?;
        let node = match int_from_bytes(bytes) {
            Value::BigInt(value) => Node::BigInt(value),
            Value::Int(value) => Node::Int(value),
            _ => unreachable!("an int is one of the two"),
        };
        self.push(node)
    }

    // The machine.

    fn push(&mut self, node: Node<'a>) -> Step {
        self.memory.charge(size_of::<Node>())?;
        // The budget keeps the numbers far below their limit.
        let id = self.nodes.len() as Id;
        self.nodes.push(node);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Step {
        self.memory.charge(size_of::<Id>())?;
        self.stack.push(id);
        Ok(())
    }

    /// How low the stack may fall: to the last open mark.
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
        self.memory
            .charge((self.stack.len() - left) * size_of::<Id>())?;
        Ok(self.stack.split_off(left))
    }

    fn add(&mut self, what: Adds, items: Vec<Id>) -> Step {
        let id = self.top()?;
        match (&mut self.nodes[id as usize], what) {
            (Node::List(held), Adds::Items) | (Node::Set(held), Adds::Members) => {
                held.extend(items);
            }
            (Node::Dict(held), Adds::Entries) if items.len().is_multiple_of(2) => {
                held.extend(items);
            }
            _ => {
                return Err(PickleError::Malformed(
                    "something is added to what does not take it",
                ));
            }
        }
        Ok(())
    }

    /// Python numbers what it stores one by one; other numbers would be a way to claim
    /// memory.
    fn remember(&mut self, index: usize, id: Id) -> Step {
        if let Some(place) = self.memo.get_mut(index) {
            *place = id;
        } else if index == self.memo.len() {
            self.memory.charge(size_of::<Id>())?;
            self.memo.push(id);
        } else {
            return Err(PickleError::Malformed("it stores out of order"));
        }
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Step {
        match self.memo.get(index) {
            Some(&id) => self.push_id(id),
            None => Err(PickleError::Malformed("it fetches what it never stored")),
        }
    }

    fn class(&mut self, module: &str, name: &str) -> Step {
        if let Some(class) = classes::find(module, name) {
            return self.push(Node::Class(class));
        }
        let name = format!("{module}.{name}");
        // It may be anything; it is shown to people.
        let name = name.chars().filter(|char| !char.is_control()).take(80);
        Err(PickleError::UnknownClass(name.collect()))
    }

    fn instance(&mut self, class: Id, made_by: MadeBy, args: Id) -> Step {
        let Node::Class(known) = &self.nodes[class as usize] else {
            return Err(PickleError::Malformed("what is called is no class"));
        };
        // These two are filled by further operations.
        let node = match known.kind {
            Kind::Deque => Node::List(Vec::new()),
            Kind::OrderedDict => Node::Dict(Vec::new()),
            _ => Node::Instance(Instance {
                class,
                made_by,
                args,
                state: None,
            }),
        };
        self.push(node)
    }
}

/// Makes values of a finished table of nodes.
struct Values<'n, 'a> {
    nodes: &'n [Node<'a>],
    memory: Memory,
    has_proxies: bool,
}

impl<'n, 'a> Values<'n, 'a> {
    fn node(&self, id: Id) -> &'n Node<'a> {
        &self.nodes[id as usize]
    }

    /// The value of a node. A container that contains itself is found by its depth.
    fn value(&mut self, id: Id, depth: usize) -> Step<Value> {
        if depth >= MAX_DEPTH {
            return Err(PickleError::TooDeep);
        }
        self.memory.charge(size_of::<Value>())?;
        Ok(match self.node(id) {
            Node::None => Value::None,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Float(value) => Value::Float(*value),
            Node::BigInt(value) => {
                self.memory.charge(value.bytes().len())?;
                Value::BigInt(value.clone())
            }
            Node::Str(text) => {
                self.memory.charge(text.len())?;
                Value::Str((*text).into())
            }
            Node::Bytes(bytes) => {
                self.memory.charge(bytes.len())?;
                Value::Bytes(bytes.to_vec())
            }
            Node::ByteArray(bytes) => {
                self.memory.charge(bytes.len())?;
                Value::ByteArray(bytes.to_vec())
            }
            Node::Tuple(items) => Value::Tuple(self.values(items, depth)?),
            Node::List(items) => Value::List(self.values(items, depth)?),
            Node::Set(items) => Value::Set(self.values(items, depth)?),
            Node::FrozenSet(items) => Value::FrozenSet(self.values(items, depth)?),
            Node::Dict(items) => {
                let (entries, _) = items.as_chunks::<2>();
                let entries = entries.iter().map(|&[key, value]| {
                    Ok((self.value(key, depth + 1)?, self.value(value, depth + 1)?))
                });
                Value::Dict(entries.collect::<Step<_>>()?)
            }
            Node::Class(_) => {
                return Err(PickleError::Malformed("a class is no value"));
            }
            Node::Instance(instance) => self.instance(instance, depth)?,
        })
    }

    fn values(&mut self, items: &[Id], depth: usize) -> Step<Vec<Value>> {
        items
            .iter()
            .map(|&item| self.value(item, depth + 1))
            .collect()
    }

    fn instance(&mut self, instance: &Instance, depth: usize) -> Step<Value> {
        let Node::Class(class) = self.node(instance.class) else {
            unreachable!("an instance is only made of a class");
        };
        let Node::Tuple(arg_ids) = self.node(instance.args) else {
            return Err(PickleError::Malformed("arguments are no tuple"));
        };
        if class.kind == Kind::RebuildProxy {
            return self.proxy(arg_ids, depth);
        }
        let args = self.values(arg_ids, depth)?;
        let state = instance.state;
        let state = state.map(|id| self.value(id, depth + 1)).transpose()?;
        let made = match class.kind {
            Kind::Token => token(state).map(Box::new).map(Value::Token),
            Kind::List => sequence(args).map(Value::List),
            Kind::Set => sequence(args).map(Value::Set),
            Kind::FrozenSet => sequence(args).map(Value::FrozenSet),
            Kind::ByteArray => match args.as_slice() {
                [] => Some(Value::ByteArray(Vec::new())),
                [Value::Bytes(bytes)] => Some(Value::ByteArray(bytes.clone())),
                _ => None,
            },
            Kind::Data => Some(Value::Object(Box::new(Object {
                module: class.module,
                name: class.name,
                made_by: instance.made_by,
                args,
                state,
            }))),
            // Its state, if it has one, only repeats the arguments.
            Kind::Exception => {
                Some(Value::Exception(Box::new(class.exception(args))))
            }
            Kind::RebuildProxy
            | Kind::ProxyType
            | Kind::Deque
            | Kind::OrderedDict => None,
        };
        made.ok_or(PickleError::Malformed(
            "a class is called with other arguments",
        ))
    }

    /// `RebuildProxy(class, token, 'pickle', kwargs)`
    fn proxy(&mut self, args: &[Id], depth: usize) -> Step<Value> {
        let proxy = if let &[class, token, _serializer, kwargs] = args
            && let Node::Class(class) = self.node(class)
            && class.kind == Kind::ProxyType
            && let Value::Token(token) = self.value(token, depth + 1)?
            && let Value::Dict(kwargs) = self.value(kwargs, depth + 1)?
        {
            let exposed = kwargs.into_iter().find_map(|(key, value)| {
                (key == Value::Str("exposed".into())).then(|| names(value))?
            });
            ProxyRef {
                token: *token,
                class: class.name.into(),
                exposed,
                referent: None,
            }
        } else {
            return Err(PickleError::Malformed("a proxy lacks its parts"));
        };
        self.has_proxies = true;
        Ok(Value::Proxy(Box::new(proxy)))
    }
}

/// What a set of operations adds.
#[derive(Clone, Copy)]
enum Adds {
    Items,
    Members,
    Entries,
}

/// The one argument of `list`, `set` and `frozenset`.
fn sequence(args: Vec<Value>) -> Option<Vec<Value>> {
    let mut args = args.into_iter();
    match (args.next(), args.next()) {
        (None, _) => Some(Vec::new()),
        (Some(Value::List(items) | Value::Tuple(items)), None) => Some(items),
        _ => None,
    }
}

fn names(value: Value) -> Option<Vec<String>> {
    let (Value::Tuple(items) | Value::List(items)) = value else {
        return None;
    };
    items
        .into_iter()
        .map(|item| match item {
            Value::Str(name) => Some(name),
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
        typeid: typeid.clone(),
        address: address_of(address)?,
        ident: ident.clone(),
    })
}

fn address_of(value: &Value) -> Option<Address> {
    match value {
        Value::Tuple(parts) => match parts.as_slice() {
            [Value::Str(host), Value::Int(port)] => Some(Address::Tcp {
                host: host.clone(),
                port: u16::try_from(*port).ok()?,
            }),
            _ => None,
        },
        Value::Str(path) => Some(match path.strip_prefix('\0') {
            Some(name) => Address::Abstract(name.into()),
            None => Address::Unix(path.into()),
        }),
        Value::Bytes(name) => Some(Address::Abstract(
            name.strip_prefix(b"\0").unwrap_or(name).to_vec(),
        )),
        _ => None,
    }
}
