//! The classes that a pickle may name; it can name no others.

use super::value::{Exception, MadeBy, Object, Shared, Value};

/// How a class in a pickle is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `multiprocessing.managers.Token`
    Token,
    /// The function that makes a proxy of a token and a class.
    RebuildProxy,
    /// One of the classes it makes.
    ProxyType,
    /// Containers that become our own.
    List,
    Set,
    FrozenSet,
    ByteArray,
    /// Containers that keep their class.
    Deque,
    OrderedDict,
    DefaultDict,
    /// A class that can only be a value itself, as the factory of a `defaultdict` is.
    Type,
    /// What is carried as its class and arguments.
    Data,
    Exception,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) module: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

const TABLE: &[(&str, Kind, &[&str])] = &[
    ("multiprocessing.managers", Kind::Token, &["Token"]),
    (
        "multiprocessing.managers",
        Kind::RebuildProxy,
        &["RebuildProxy"],
    ),
    (
        "multiprocessing.managers",
        Kind::ProxyType,
        &[
            "AutoProxy",
            "ListProxy",
            "DictProxy",
            "NamespaceProxy",
            "ValueProxy",
            "ArrayProxy",
            "AcquirerProxy",
            "ConditionProxy",
            "EventProxy",
            "BarrierProxy",
            "IteratorProxy",
            "SetProxy",
        ],
    ),
    ("builtins", Kind::List, &["list"]),
    ("builtins", Kind::Set, &["set"]),
    ("builtins", Kind::FrozenSet, &["frozenset"]),
    ("builtins", Kind::ByteArray, &["bytearray"]),
    ("collections", Kind::Deque, &["deque"]),
    ("collections", Kind::OrderedDict, &["OrderedDict"]),
    ("collections", Kind::DefaultDict, &["defaultdict"]),
    ("collections", Kind::Data, &["Counter"]),
    (
        "builtins",
        Kind::Type,
        &["bool", "bytes", "dict", "float", "int", "str", "tuple"],
    ),
    (
        "builtins",
        Kind::Data,
        &["complex", "range", "reversed", "slice"],
    ),
    (
        "multiprocessing.managers",
        Kind::Data,
        &["Namespace", "Value"],
    ),
    ("array", Kind::Data, &["array"]),
    (
        "datetime",
        Kind::Data,
        &["date", "datetime", "time", "timedelta", "timezone"],
    ),
    ("decimal", Kind::Data, &["Decimal"]),
    (
        "decimal",
        Kind::Exception,
        &["DecimalException", "InvalidOperation"],
    ),
    ("fractions", Kind::Data, &["Fraction"]),
    ("uuid", Kind::Data, &["UUID"]),
    ("queue", Kind::Exception, &["Empty", "Full", "ShutDown"]),
    // The same class, by the name of the module that implements it.
    ("_queue", Kind::Exception, &["Empty"]),
    ("threading", Kind::Exception, &["BrokenBarrierError"]),
    (
        "multiprocessing.managers",
        Kind::Exception,
        &["RemoteError"],
    ),
    (
        "multiprocessing.context",
        Kind::Exception,
        &[
            "AuthenticationError",
            "BufferTooShort",
            "ProcessError",
            "TimeoutError",
        ],
    ),
    ("array", Kind::Exception, &["error"]),
    ("json.decoder", Kind::Exception, &["JSONDecodeError"]),
    ("pickle", Kind::Exception, &["PickleError"]),
    (
        "_pickle",
        Kind::Exception,
        &["PickleError", "PicklingError", "UnpicklingError"],
    ),
    (
        "builtins",
        Kind::Exception,
        &[
            "ArithmeticError",
            "AssertionError",
            "AttributeError",
            "BaseException",
            "BlockingIOError",
            "BrokenPipeError",
            "BufferError",
            "ChildProcessError",
            "ConnectionAbortedError",
            "ConnectionError",
            "ConnectionRefusedError",
            "ConnectionResetError",
            "EOFError",
            "Exception",
            "FileExistsError",
            "FileNotFoundError",
            "FloatingPointError",
            "GeneratorExit",
            "ImportError",
            "IndexError",
            "InterruptedError",
            "IsADirectoryError",
            "KeyError",
            "KeyboardInterrupt",
            "LookupError",
            "MemoryError",
            "ModuleNotFoundError",
            "NameError",
            "NotADirectoryError",
            "NotImplementedError",
            "OSError",
            "OverflowError",
            "PermissionError",
            "ProcessLookupError",
            "RecursionError",
            "ReferenceError",
            "RuntimeError",
            "StopAsyncIteration",
            "StopIteration",
            "SystemError",
            "SystemExit",
            "TimeoutError",
            "TypeError",
            "UnboundLocalError",
            "UnicodeDecodeError",
            "UnicodeEncodeError",
            "UnicodeError",
            "UnicodeTranslateError",
            "UserWarning",
            "ValueError",
            "Warning",
            "ZeroDivisionError",
        ],
    ),
];

/// The class of this name, if it is in the table.
pub(super) fn find(module: &str, name: &str) -> Option<Class> {
    TABLE.iter().find_map(|&(in_module, kind, names)| {
        let name = names.iter().find(|&&known| known == name)?;
        (in_module == module).then_some(Class {
            module: in_module,
            name,
            kind,
        })
    })
}

impl Class {
    /// The class itself as a value, if it is one of plain data.
    pub(super) fn as_value(&self) -> Option<Value> {
        match self.kind {
            Kind::Type
            | Kind::List
            | Kind::Set
            | Kind::FrozenSet
            | Kind::ByteArray
            | Kind::Data => Some(Value::Object(Shared::from(Object {
                module: self.module,
                name: self.name,
                made_by: MadeBy::Reference,
                args: Vec::new(),
                state: None,
                items: Vec::new(),
                entries: Vec::new(),
            }))),
            _ => None,
        }
    }

    /// An exception of this class.
    pub(super) fn exception(&self, args: Vec<Value>) -> Exception {
        // One name for one class: a match on the module finds both.
        let module = self.module.trim_start_matches('_');
        Exception::new(module, self.name, args)
    }
}
