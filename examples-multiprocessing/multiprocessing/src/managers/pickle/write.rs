//! The writer: protocol 4, which every Python since 3.4 reads, in its simplest form.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

use super::opcode::{
    ADDITEMS, APPENDS, BINBYTES, BINBYTES8, BINFLOAT, BINGET, BININT, BININT1,
    BININT2, BINUNICODE, BINUNICODE8, BUILD, EMPTY_DICT, EMPTY_LIST, EMPTY_SET,
    EMPTY_TUPLE, FROZENSET, LONG_BINGET, LONG1, LONG4, MARK, MEMOIZE, NEWFALSE,
    NEWOBJ, NEWTRUE, NONE, PROTO, REDUCE, SETITEMS, SHORT_BINBYTES,
    SHORT_BINUNICODE, STACK_GLOBAL, STOP, TUPLE, TUPLE1, TUPLE2, TUPLE3,
};
use super::value::{
    Exception, Keeper, MadeBy, Object, ProxyRef, Shared, Token, Value,
};
use super::{MAX_DEPTH, MAX_MESSAGE, PickleError};
use crate::managers::Address;

const MANAGERS: &str = "multiprocessing.managers";

pub(super) fn write_value(
    out: &mut Vec<u8>,
    value: &Value,
) -> Result<(), PickleError> {
    let mut writer = Writer::start(out, usize::MAX);
    writer.value(value, 0)?;
    writer.out.push(STOP);
    Ok(())
}

/// A request: `(target, method, args, kwargs)`. The target is an object's name, or `None`
/// for a function of the server's own.
pub(in crate::managers) fn write_call(
    out: &mut Vec<u8>,
    target: Option<&str>,
    method: &str,
    args: &[Value],
    kwargs: &[(String, Value)],
) -> Result<(), PickleError> {
    let mut writer = Writer::start(out, MAX_MESSAGE);
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

/// A reply: `(kind, value)`. Returns what keeps the objects alive whose proxies are in
/// it.
pub(in crate::managers) fn write_reply(
    out: &mut Vec<u8>,
    kind: &str,
    value: &Value,
) -> Result<Vec<Keeper>, PickleError> {
    let mut writer = Writer::start(out, MAX_MESSAGE);
    writer.str(kind);
    writer.value(value, 0)?;
    writer.out.extend([TUPLE2, STOP]);
    Ok(writer.keepers)
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Of the proxies that were written.
    keepers: Vec<Keeper>,
    /// What was written and may occur again: its kind and where its content is, and its
    /// number in the reader's memo. Values of two kinds may share content, for example a
    /// list and a tuple; they are not the same value.
    memo: HashMap<(Discriminant<Value>, *const ()), u32>,
    /// The length at which it is too long.
    end: usize,
}

impl<'a> Writer<'a> {
    fn start(out: &'a mut Vec<u8>, limit: usize) -> Self {
        let end = out.len().saturating_add(limit);
        out.extend([PROTO, 4]);
        Self {
            end,
            out,
            keepers: Vec::new(),
            memo: HashMap::new(),
        }
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), PickleError> {
        if depth >= MAX_DEPTH {
            return Err(PickleError::TooDeep);
        }
        if self.out.len() > self.end {
            return Err(PickleError::TooLong);
        }
        let kind = discriminant(value);
        match value {
            Value::None => self.out.push(NONE),
            Value::Bool(true) => self.out.push(NEWTRUE),
            Value::Bool(false) => self.out.push(NEWFALSE),
            Value::Int(value) => self.int(*value),
            Value::BigInt(value) => self.long(value.bytes()),
            Value::Float(value) => {
                self.out.push(BINFLOAT);
                self.out.extend(value.to_be_bytes());
            }
            Value::Str(value) => self.once(kind, value, |w| {
                w.str(value);
                Ok(())
            })?,
            Value::Bytes(value) => self.once(kind, value, |w| {
                w.bytes(value);
                Ok(())
            })?,
            Value::ByteArray(value) => self.once(kind, value, |w| {
                w.class("builtins", "bytearray");
                w.bytes(value);
                w.out.extend([TUPLE1, REDUCE]);
                Ok(())
            })?,
            // There is only one in Python.
            Value::Tuple(items) if items.is_empty() => self.out.push(EMPTY_TUPLE),
            Value::Tuple(items) => {
                self.once(kind, items, |w| w.tuple(items, depth))?;
            }
            Value::List(items) => {
                self.once(kind, items, |w| {
                    w.filled(EMPTY_LIST, items, APPENDS, depth)
                })?;
            }
            Value::Set(items) => {
                self.once(kind, items, |w| {
                    w.filled(EMPTY_SET, items, ADDITEMS, depth)
                })?;
            }
            Value::FrozenSet(items) => self.once(kind, items, |w| {
                w.out.push(MARK);
                w.values(items, depth)?;
                w.out.push(FROZENSET);
                Ok(())
            })?,
            Value::Dict(entries) => self.once(kind, entries, |w| {
                w.out.push(EMPTY_DICT);
                w.pairs(entries, depth)
            })?,
            Value::Exception(exception) => {
                self.once(kind, exception, |w| w.exception(exception, depth))?;
            }
            Value::Object(object) => {
                self.once(kind, object, |w| w.object(object, depth))?;
            }
            Value::Token(token) => self.token(token),
            Value::Proxy(proxy) => self.once(kind, proxy, |w| {
                w.proxy(proxy);
                Ok(())
            })?,
        }
        Ok(())
    }

    /// Writes content where it occurs first, and from then on its number.
    fn once<T>(
        &mut self,
        kind: Discriminant<Value>,
        content: &Shared<T>,
        write: impl FnOnce(&mut Self) -> Result<(), PickleError>,
    ) -> Result<(), PickleError> {
        let Some(place) = content.place_if_shared() else {
            return write(self);
        };
        let key = (kind, place);
        if let Some(&number) = self.memo.get(&key) {
            if let Ok(number) = u8::try_from(number) {
                self.out.extend([BINGET, number]);
            } else {
                self.out.push(LONG_BINGET);
                self.out.extend(number.to_le_bytes());
            }
            return Ok(());
        }
        write(self)?;
        self.out.push(MEMOIZE);
        // A message never holds four thousand million values.
        self.memo.insert(key, self.memo.len() as u32);
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
        self.items(items, add, depth)
    }

    fn items(
        &mut self,
        items: &[Value],
        add: u8,
        depth: usize,
    ) -> Result<(), PickleError> {
        if !items.is_empty() {
            self.out.push(MARK);
            self.values(items, depth)?;
            self.out.push(add);
        }
        Ok(())
    }

    fn pairs(
        &mut self,
        entries: &[(Value, Value)],
        depth: usize,
    ) -> Result<(), PickleError> {
        if !entries.is_empty() {
            self.out.push(MARK);
            for (key, value) in entries {
                self.value(key, depth + 1)?;
                self.value(value, depth + 1)?;
            }
            self.out.push(SETITEMS);
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

    fn int(&mut self, value: i64) {
        if let Ok(value) = u8::try_from(value) {
            self.out.extend([BININT1, value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.out.push(BININT2);
            self.out.extend(value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.out.push(BININT);
            self.out.extend(value.to_le_bytes());
        } else {
            self.long(&value.to_le_bytes());
        }
    }

    /// Two's complement, the lowest byte first.
    fn long(&mut self, bytes: &[u8]) {
        if let Ok(length) = u8::try_from(bytes.len()) {
            self.out.extend([LONG1, length]);
        } else {
            // A message never holds four thousand million digits.
            self.out.push(LONG4);
            self.out.extend((bytes.len() as u32).to_le_bytes());
        }
        self.out.extend(bytes);
    }

    fn str(&mut self, value: &str) {
        self.sized(
            [SHORT_BINUNICODE, BINUNICODE, BINUNICODE8],
            value.as_bytes(),
        );
    }

    fn bytes(&mut self, value: &[u8]) {
        self.sized([SHORT_BINBYTES, BINBYTES, BINBYTES8], value);
    }

    /// The bytes after the shortest form of their length, which has one, four or eight
    /// bytes.
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
        let make = match object.made_by {
            MadeBy::Call => REDUCE,
            MadeBy::New => NEWOBJ,
            MadeBy::Reference => return Ok(()),
        };
        self.tuple(&object.args, depth)?;
        self.out.push(make);
        if let Some(state) = &object.state {
            self.value(state, depth + 1)?;
            self.out.push(BUILD);
        }
        self.items(&object.items, APPENDS, depth)?;
        self.pairs(&object.entries, depth)
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
        self.keepers.extend(proxy.keeper.clone());
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
