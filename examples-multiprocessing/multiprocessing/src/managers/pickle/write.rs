//! The writer: protocol 4, which every Python since 3.4 reads, in its simplest form.

use super::value::{Exception, MadeBy, Object, ProxyRef, Token, Value};
use super::{MAX_DEPTH, PickleError};
use crate::managers::Address;

const STOP: u8 = b'.';
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const EMPTY_TUPLE: u8 = b')';
const TUPLE1: u8 = 0x85;
const TUPLE2: u8 = 0x86;
const TUPLE3: u8 = 0x87;
const EMPTY_DICT: u8 = b'}';
const SETITEMS: u8 = b'u';
const STACK_GLOBAL: u8 = 0x93;
const REDUCE: u8 = b'R';
const NEWOBJ: u8 = 0x81;
const BUILD: u8 = b'b';
const NONE: u8 = b'N';

const MANAGERS: &str = "multiprocessing.managers";

pub(super) fn write_value(
    out: &mut Vec<u8>,
    value: &Value,
) -> Result<(), PickleError> {
    let mut writer = Writer { out };
    writer.start();
    writer.value(value, 0)?;
    writer.out.push(STOP);
    Ok(())
}

/// A request: `(target, method, args, kwargs)`, where the target is an object's ident
/// or, for the server's own functions, `None`.
pub(in crate::managers) fn write_call(
    out: &mut Vec<u8>,
    target: Option<&str>,
    method: &str,
    args: &[Value],
    kwargs: &[(String, Value)],
) -> Result<(), PickleError> {
    let mut writer = Writer { out };
    writer.start();
    writer.out.push(MARK);
    match target {
        Some(ident) => writer.str(ident),
        None => writer.out.push(NONE),
    }
    writer.str(method);
    writer.tuple(args, 0)?;
    writer.out.push(EMPTY_DICT);
    if !kwargs.is_empty() {
        writer.out.push(MARK);
        for (key, value) in kwargs {
            writer.str(key);
            writer.value(value, 0)?;
        }
        writer.out.push(SETITEMS);
    }
    writer.out.extend([TUPLE, STOP]);
    Ok(())
}

/// A reply: `(kind, value)`.
pub(in crate::managers) fn write_reply(
    out: &mut Vec<u8>,
    kind: &str,
    value: &Value,
) -> Result<(), PickleError> {
    let mut writer = Writer { out };
    writer.start();
    writer.str(kind);
    writer.value(value, 0)?;
    writer.out.extend([TUPLE2, STOP]);
    Ok(())
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn start(&mut self) {
        self.out.extend([0x80, 4]);
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), PickleError> {
        if depth >= MAX_DEPTH {
            return Err(PickleError::TooDeep);
        }
        match value {
            Value::None => self.out.push(NONE),
            Value::Bool(true) => self.out.push(0x88),
            Value::Bool(false) => self.out.push(0x89),
            Value::Int(value) => self.int(*value),
            Value::BigInt(value) => self.long(value.bytes()),
            Value::Float(value) => {
                self.out.push(b'G');
                self.out.extend(value.to_be_bytes());
            }
            Value::Str(value) => self.str(value),
            Value::Bytes(value) => self.bytes(value),
            Value::ByteArray(value) => {
                self.class("builtins", "bytearray");
                self.bytes(value);
                self.out.extend([TUPLE1, REDUCE]);
            }
            Value::Tuple(items) => self.tuple(items, depth)?,
            Value::List(items) => self.filled(b']', items, b'e', depth)?,
            Value::Set(items) => self.filled(0x8f, items, 0x90, depth)?,
            Value::FrozenSet(items) => {
                self.out.push(MARK);
                self.values(items, depth)?;
                self.out.push(0x91);
            }
            Value::Dict(items) => self.dict(items, depth)?,
            Value::Exception(exception) => self.exception(exception, depth)?,
            Value::Object(object) => self.object(object, depth)?,
            Value::Token(token) => self.token(token),
            Value::Proxy(proxy) => self.proxy(proxy),
        }
        Ok(())
    }

    fn values(&mut self, items: &[Value], depth: usize) -> Result<(), PickleError> {
        items
            .iter()
            .try_for_each(|item| self.value(item, depth + 1))
    }

    /// An empty container, and what is added to it.
    fn filled(
        &mut self,
        empty: u8,
        items: &[Value],
        add: u8,
        depth: usize,
    ) -> Result<(), PickleError> {
        self.out.push(empty);
        if !items.is_empty() {
            self.out.push(MARK);
            self.values(items, depth)?;
            self.out.push(add);
        }
        Ok(())
    }

    fn tuple(&mut self, items: &[Value], depth: usize) -> Result<(), PickleError> {
        let close = match items.len() {
            0 => EMPTY_TUPLE,
            1 => TUPLE1,
            2 => TUPLE2,
            3 => TUPLE3,
            _ => {
                self.out.push(MARK);
                TUPLE
            }
        };
        self.values(items, depth)?;
        self.out.push(close);
        Ok(())
    }

    fn dict(
        &mut self,
        items: &[(Value, Value)],
        depth: usize,
    ) -> Result<(), PickleError> {
        self.out.push(EMPTY_DICT);
        if !items.is_empty() {
            self.out.push(MARK);
            for (key, value) in items {
                self.value(key, depth + 1)?;
                self.value(value, depth + 1)?;
            }
            self.out.push(SETITEMS);
        }
        Ok(())
    }

    fn int(&mut self, value: i64) {
        if let Ok(value) = u8::try_from(value) {
            self.out.extend([b'K', value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.out.push(b'M');
            self.out.extend(value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.out.push(b'J');
            self.out.extend(value.to_le_bytes());
        } else {
            self.long(&value.to_le_bytes());
        }
    }

    /// Two's complement, the lowest byte first.
    fn long(&mut self, bytes: &[u8]) {
        if let Ok(length) = u8::try_from(bytes.len()) {
            self.out.extend([0x8a, length]);
        } else {
            // A message never holds four thousand million digits.
            self.out.push(0x8b);
            self.out.extend((bytes.len() as u32).to_le_bytes());
        }
        self.out.extend(bytes);
    }

    fn str(&mut self, value: &str) {
        self.sized([0x8c, b'X', 0x8d], value.as_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.sized([b'C', b'B', 0x8e], value);
    }

    /// Bytes behind the shortest length that holds theirs: of one, four or eight bytes.
    fn sized(&mut self, [short, medium, long]: [u8; 3], bytes: &[u8]) {
        let length = bytes.len();
        if let Ok(length) = u8::try_from(length) {
            self.out.extend([short, length]);
        } else if let Ok(length) = u32::try_from(length) {
            self.out.push(medium);
            self.out.extend(length.to_le_bytes());
        } else {
            self.out.push(long);
            self.out.extend((length as u64).to_le_bytes());
        }
        self.out.extend(bytes);
    }

    fn class(&mut self, module: &str, name: &str) {
        self.str(module);
        self.str(name);
        self.out.push(STACK_GLOBAL);
    }

    fn exception(
        &mut self,
        exception: &Exception,
        depth: usize,
    ) -> Result<(), PickleError> {
        self.class(exception.module(), exception.name());
        self.tuple(exception.args(), depth)?;
        self.out.push(REDUCE);
        Ok(())
    }

    fn object(&mut self, object: &Object, depth: usize) -> Result<(), PickleError> {
        self.class(object.module, object.name);
        self.tuple(&object.args, depth)?;
        self.out.push(match object.made_by {
            MadeBy::Call => REDUCE,
            MadeBy::New => NEWOBJ,
        });
        if let Some(state) = &object.state {
            self.value(state, depth + 1)?;
            self.out.push(BUILD);
        }
        Ok(())
    }

    fn token(&mut self, token: &Token) {
        self.class(MANAGERS, "Token");
        self.out.extend([EMPTY_TUPLE, NEWOBJ]);
        self.str(&token.typeid);
        match &token.address {
            Address::Tcp { host, port } => {
                self.str(host);
                self.int(i64::from(*port));
                self.out.push(TUPLE2);
            }
            Address::Unix(path) => self.str(&path.to_string_lossy()),
            Address::Abstract(name) => {
                self.bytes(&[b"\0", name.as_slice()].concat());
            }
        }
        self.str(&token.ident);
        self.out.extend([TUPLE3, BUILD]);
    }

    fn proxy(&mut self, proxy: &ProxyRef) {
        self.class(MANAGERS, "RebuildProxy");
        self.out.push(MARK);
        self.class(MANAGERS, &proxy.class);
        self.token(&proxy.token);
        self.str("pickle");
        self.out.push(EMPTY_DICT);
        if let Some(exposed) = &proxy.exposed {
            self.out.push(MARK);
            self.str("exposed");
            self.out.push(MARK);
            for method in exposed {
                self.str(method);
            }
            self.out.extend([TUPLE, SETITEMS]);
        }
        self.out.extend([TUPLE, REDUCE]);
    }
}
