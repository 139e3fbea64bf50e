//! What can cross the wire.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::managers::Address;

/// A Python value: all that a manager's messages carry.
///
/// Plain Rust values become one by `into()`, and come back by
/// [`FromValue`](crate::managers::FromValue). Its `Debug` reads like a value, not like
/// an enum. Two values are equal if they are of the same kind and content:
/// `Value::Int(1)` is not `Value::Float(1.0)`, though Python would say so.
///
/// ```
/// use multiprocessing::managers::Value;
///
/// let value = Value::from((1, "one", vec![0.5, 2.0], None::<i64>));
/// assert_eq!(format!("{value:?}"), r#"(1, "one", [0.5, 2.0], None)"#);
/// assert_eq!(Value::loads(&value.dumps()?)?, value);
/// # Ok::<(), multiprocessing::managers::PickleError>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `None`
    None,
    /// `bool`
    Bool(bool),
    /// `int` that fits
    Int(i64),
    /// `int` that does not
    BigInt(BigInt),
    /// `float`
    Float(f64),
    /// `str`
    Str(Shared<String>),
    /// `bytes`
    Bytes(Shared<Vec<u8>>),
    /// `bytearray`
    ByteArray(Shared<Vec<u8>>),
    /// `tuple`
    Tuple(Shared<Vec<Value>>),
    /// `list`
    List(Shared<Vec<Value>>),
    /// `dict`, in its order
    Dict(Shared<Vec<(Value, Value)>>),
    /// `set`
    Set(Shared<Vec<Value>>),
    /// `frozenset`
    FrozenSet(Shared<Vec<Value>>),
    /// An exception as a value.
    Exception(Shared<Exception>),
    /// Something of a known class that has no counterpart here: a `datetime`, a
    /// `Decimal`, a `slice`.
    Object(Shared<Object>),
    /// Where a managed object lives.
    Token(Box<Token>),
    /// A proxy: the managed object itself stays where it is.
    Proxy(Shared<ProxyRef>),
}

/// The content of a [`Value`], which other values may share.
///
/// Python's containers hold references: in `[y, y]` both items are the same `y`. A
/// message keeps this, and so does a [`Value`]: its clones share its content, and two
/// clones in one message arrive as two values that share theirs.
///
/// It is read like what it contains. [`into_inner`](Self::into_inner) takes the content
/// out, `into()` puts it in.
///
/// ```
/// use multiprocessing::managers::Value;
///
/// let y = Value::from(vec![1]);
/// let sent = Value::from((y.clone(), y)).dumps()?;
/// let Value::Tuple(items) = Value::loads(&sent)? else { panic!() };
/// let [Value::List(first), Value::List(second)] = items.as_slice() else { panic!() };
/// assert_eq!(first.len(), 1);
/// assert!(first.is(second));
/// # Ok::<(), multiprocessing::managers::PickleError>(())
/// ```
#[derive(Default, PartialEq, Eq, PartialOrd, Hash)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Whether both are one and the same: Python's `is`.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Where the content is, if another value may have it in common with this one.
    pub(super) fn place_if_shared(&self) -> Option<*const ()> {
        (Arc::strong_count(&self.0) > 1).then_some(Arc::as_ptr(&self.0).cast())
    }
}

impl<T: Clone> Shared<T> {
    /// The content, which is copied if others have it too.
    #[must_use]
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> FromIterator<T> for Shared<Vec<T>> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Vec::from_iter(items).into()
    }
}

impl<T: Clone> IntoIterator for Shared<Vec<T>> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_inner().into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Shared<Vec<T>> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Display> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(content: T) -> Self {
        Self(Arc::new(content))
    }
}

impl From<&str> for Shared<String> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Value {
    /// What Python's `type(value).__name__` says.
    #[must_use]
    pub(crate) fn type_name(&self) -> &str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::BigInt(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::ByteArray(_) => "bytearray",
            Self::Tuple(_) => "tuple",
            Self::List(_) => "list",
            Self::Dict(_) => "dict",
            Self::Set(_) => "set",
            Self::FrozenSet(_) => "frozenset",
            Self::Exception(exception) => exception.name(),
            Self::Object(object) => object.type_name(),
            Self::Token(_) => "Token",
            Self::Proxy(proxy) => &proxy.class,
        }
    }

    /// The entries of a mapping.
    pub(super) fn entries(&self) -> Option<&[(Value, Value)]> {
        match self {
            Self::Dict(entries) => Some(entries),
            Self::Object(object) if object.is_mapping() => {
                match object.args.as_slice() {
                    // A Counter is made of a dict.
                    [Self::Dict(counts)] => Some(counts),
                    _ => Some(&object.entries),
                }
            }
            _ => None,
        }
    }

    /// Whether it is a mapping whose order counts when two of these are compared.
    pub(super) fn is_ordered(&self) -> bool {
        matches!(self, Self::Object(object) if object.name == "OrderedDict")
    }

    /// The entries of a mapping; anything else comes back as it is.
    pub(crate) fn into_entries(self) -> Result<Vec<(Value, Value)>, Value> {
        match self {
            Self::Dict(entries) => Ok(entries.into_inner()),
            Self::Object(object) if object.is_mapping() => {
                let Object {
                    args, mut entries, ..
                } = object.into_inner();
                // A Counter is made of a dict.
                for arg in args {
                    if let Self::Dict(counts) = arg {
                        entries.extend(counts.into_inner());
                    }
                }
                Ok(entries)
            }
            other => Err(other),
        }
    }

    /// About how many bytes it takes in memory, were nothing in it shared; `None` if more
    /// than `limit`.
    pub(crate) fn size_within(&self, limit: usize) -> Option<usize> {
        let mut left = limit;
        self.take_size(&mut left)?;
        Some(limit - left)
    }

    fn take_size(&self, left: &mut usize) -> Option<()> {
        let content = match self {
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::BigInt(value) => value.bytes.len(),
            Self::Str(value) => value.len(),
            Self::Bytes(value) | Self::ByteArray(value) => value.len(),
            Self::Exception(_) => size_of::<Exception>(),
            Self::Object(_) => size_of::<Object>(),
            Self::Token(_) => size_of::<Token>(),
            Self::Proxy(_) => size_of::<ProxyRef>(),
            Self::Tuple(_)
            | Self::List(_)
            | Self::Set(_)
            | Self::FrozenSet(_)
            | Self::Dict(_) => size_of::<Vec<Self>>(),
        };
        *left = left.checked_sub(size_of::<Self>() + content)?;
        let mut take = |mut items: std::slice::Iter<'_, Self>| {
            items.try_for_each(|item| item.take_size(left))
        };
        match self {
            Self::Tuple(items)
            | Self::List(items)
            | Self::Set(items)
            | Self::FrozenSet(items) => take(items.iter()),
            Self::Exception(exception) => take(exception.args.iter()),
            Self::Dict(entries) => take_size_of(entries, left),
            Self::Object(object) => {
                take(object.args.iter())?;
                take(object.items.iter())?;
                if let Some(state) = &object.state {
                    state.take_size(left)?;
                }
                take_size_of(&object.entries, left)
            }
            _ => Some(()),
        }
    }
}

fn take_size_of(entries: &[(Value, Value)], left: &mut usize) -> Option<()> {
    entries.iter().try_for_each(|(key, value)| {
        key.take_size(left)?;
        value.take_size(left)
    })
}

/// An `int` beyond [`i64`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BigInt {
    /// Two's complement, the lowest byte first, no byte more than needed.
    bytes: Vec<u8>,
}

impl BigInt {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The nearest float, which is infinite if there is none.
    pub(super) fn to_f64(&self) -> f64 {
        let number = num_bigint::BigInt::from_signed_bytes_le(&self.bytes);
        let infinite = if self.is_negative() {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
        // Rounding by way of the digits is exact, and 310 are more than any float has.
        match number.bits() {
            0..1100 => number.to_string().parse().unwrap_or(infinite),
            _ => infinite,
        }
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.bytes.last().is_some_and(|top| top & 0x80 != 0)
    }
}

/// Two's complement of any length, the lowest byte first.
pub(super) fn int_from_bytes(bytes: &[u8]) -> Value {
    let mut bytes = bytes;
    while let [rest @ .., below, top] = bytes {
        let only_repeats_the_sign = match top {
            0x00 => below & 0x80 == 0,
            0xff => below & 0x80 != 0,
            _ => false,
        };
        if !only_repeats_the_sign {
            break;
        }
        bytes = &bytes[..=rest.len()];
    }
    if bytes.len() > 8 {
        let bytes = bytes.to_vec();
        return Value::BigInt(BigInt { bytes });
    }
    let negative = bytes.last().is_some_and(|top| top & 0x80 != 0);
    let mut whole = if negative { [0xff; 8] } else { [0; 8] };
    whole[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(whole))
}

/// A Python exception: its class and its arguments.
///
/// What a managed object's method raised. Its `Display` is Python's message.
///
/// ```
/// use multiprocessing::managers::Exception;
///
/// let exception = Exception::value_error("task_done() called too many times");
/// assert_eq!((exception.module(), exception.name()), ("builtins", "ValueError"));
/// assert_eq!(
///     exception.to_string(),
///     "ValueError: task_done() called too many times"
/// );
/// ```
#[derive(Clone, PartialEq)]
pub struct Exception {
    module: String,
    name: String,
    args: Vec<Value>,
}

impl Exception {
    /// An exception of this class. The other side must be able to import it; for a
    /// Rust program it must be one of Python's own.
    #[must_use]
    pub fn new(module: &str, name: &str, args: Vec<Value>) -> Self {
        Self {
            module: module.into(),
            name: name.into(),
            args,
        }
    }

    fn builtin(name: &str, message: impl Into<String>) -> Self {
        Self::new("builtins", name, vec![Value::from(message.into())])
    }

    /// `ValueError`: an argument of the right type that makes no sense.
    #[must_use]
    pub fn value_error(message: impl Into<String>) -> Self {
        Self::builtin("ValueError", message)
    }

    /// `TypeError`: an argument of the wrong type, one too many or one too few.
    #[must_use]
    pub fn type_error(message: impl Into<String>) -> Self {
        Self::builtin("TypeError", message)
    }

    /// `RuntimeError`: whatever has no exception of its own.
    #[must_use]
    pub fn runtime_error(message: impl Into<String>) -> Self {
        Self::builtin("RuntimeError", message)
    }

    /// `AttributeError`: no such attribute.
    #[must_use]
    pub fn attribute_error(message: impl Into<String>) -> Self {
        Self::builtin("AttributeError", message)
    }

    /// `IndexError`: beyond the end.
    #[must_use]
    pub fn index_error(message: impl Into<String>) -> Self {
        Self::builtin("IndexError", message)
    }

    /// `OverflowError`: a number that does not fit.
    #[must_use]
    pub fn overflow_error(message: impl Into<String>) -> Self {
        Self::builtin("OverflowError", message)
    }

    /// `MemoryError`: more than a server gives out for one request.
    #[must_use]
    pub(crate) fn memory_error() -> Self {
        Self::new("builtins", "MemoryError", Vec::new())
    }

    /// `KeyError`: no such key.
    #[must_use]
    pub fn key_error(key: Value) -> Self {
        Self::new("builtins", "KeyError", vec![key])
    }

    /// `StopIteration`: the end of an iterator.
    #[must_use]
    pub fn stop_iteration() -> Self {
        Self::new("builtins", "StopIteration", Vec::new())
    }

    /// The module of its class, `builtins` for most.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The name of its class.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was raised with.
    #[must_use]
    pub fn args(&self) -> &[Value] {
        &self.args
    }

    /// Whether it is of this class.
    #[must_use]
    pub fn is(&self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }
}

impl std::error::Error for Exception {}

/// A value of a known class, as its class and what makes one.
#[derive(Clone, PartialEq)]
pub struct Object {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(super) made_by: MadeBy,
    pub(crate) args: Vec<Value>,
    /// What is set on it once it is made.
    pub(super) state: Option<Value>,
    /// The items of a `deque`.
    pub(crate) items: Vec<Value>,
    /// The entries of an `OrderedDict` or a `defaultdict`.
    pub(crate) entries: Vec<(Value, Value)>,
}

/// How an object is made of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MadeBy {
    /// By calling the class.
    Call,
    /// By the class's `__new__`.
    New,
    /// Not at all: the value is the class itself.
    Reference,
}

impl Object {
    /// What Python's messages call its type: the classes written in C by their modules.
    fn type_name(&self) -> &'static str {
        match self.name {
            _ if self.is_class() => "type",
            "date" => "datetime.date",
            "datetime" => "datetime.datetime",
            "time" => "datetime.time",
            "timedelta" => "datetime.timedelta",
            "timezone" => "datetime.timezone",
            "Decimal" => "decimal.Decimal",
            "array" => "array.array",
            "deque" => "collections.deque",
            "OrderedDict" => "collections.OrderedDict",
            "defaultdict" => "collections.defaultdict",
            "reversed" => "list_reverseiterator",
            name => name,
        }
    }

    /// Whether it stands for its class and not for an object of it.
    pub(crate) fn is_class(&self) -> bool {
        self.made_by == MadeBy::Reference
    }

    /// Whether it is a `deque`.
    pub(crate) fn has_items(&self) -> bool {
        self.name == "deque" && !self.is_class()
    }

    /// Whether it is one of the dicts of `collections`.
    pub(crate) fn is_mapping(&self) -> bool {
        !self.is_class()
            && matches!(self.name, "OrderedDict" | "defaultdict" | "Counter")
    }

    /// What calling a class with these arguments makes. The class must be in the table.
    pub(crate) fn call(
        module: &'static str,
        name: &'static str,
        args: Vec<Value>,
    ) -> Value {
        Value::Object(Shared::from(Self {
            module,
            name,
            made_by: MadeBy::Call,
            args,
            state: None,
            items: Vec::new(),
            entries: Vec::new(),
        }))
    }

    /// What is made without arguments and then given this state. The class must be in
    /// the table.
    pub(crate) fn with_state(
        module: &'static str,
        name: &'static str,
        state: Value,
    ) -> Value {
        Value::Object(Shared::from(Self {
            module,
            name,
            made_by: MadeBy::New,
            args: Vec::new(),
            state: Some(state),
            items: Vec::new(),
            entries: Vec::new(),
        }))
    }

    /// An iterator over these items, from the last to the first.
    pub(crate) fn reversed(items: Vec<Value>) -> Value {
        let last = match items.len() {
            0 => Value::Int(-1),
            length => Value::from(length - 1),
        };
        Value::Object(Shared::from(Self {
            module: "builtins",
            name: "reversed",
            made_by: MadeBy::Call,
            args: vec![Value::List(items.into())],
            state: Some(last),
            items: Vec::new(),
            entries: Vec::new(),
        }))
    }

    /// The module of its class.
    #[must_use]
    pub fn module(&self) -> &str {
        self.module
    }

    /// The name of its class.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// What it was made with.
    #[must_use]
    pub fn args(&self) -> &[Value] {
        &self.args
    }
}

/// Where a managed object lives: Python's `multiprocessing.managers.Token`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The name under which its type was registered.
    pub typeid: String,
    /// The server's own idea of its address.
    pub address: Address,
    /// Which of the server's objects it is.
    pub ident: String,
}

/// A proxy as it travels: where the object lives, and what kind of proxy it was.
///
/// [`BaseManager::proxy`](crate::managers::BaseManager::proxy) makes a proxy of it
/// again.
#[derive(Clone)]
pub struct ProxyRef {
    /// Where its object lives.
    pub token: Token,
    /// Python's class for the proxy.
    pub(crate) class: String,
    /// The names of the object's methods, if the class does not say them.
    pub(crate) exposed: Option<Vec<String>>,
    /// What keeps the object alive for as long as this value exists, put there by the
    /// side that read it: in the object's own server the object itself, in a client a
    /// reference that the server counts.
    pub(crate) keeper: Option<Keeper>,
}

impl PartialEq for ProxyRef {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token
    }
}

/// Something that is only kept, and dropped with the last value that keeps it.
#[derive(Clone)]
pub(crate) struct Keeper(Arc<dyn Any + Send + Sync>);

impl Keeper {
    pub(crate) fn new(kept: impl Any + Send + Sync) -> Self {
        Self(Arc::new(kept))
    }

    /// What is kept, if it is of this type.
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}
