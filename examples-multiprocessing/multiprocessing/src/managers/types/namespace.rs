//! `Namespace` and `Value`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::managers::convert::Arguments;
use crate::managers::managed::{Caller, Managed, Reply, no_method};
use crate::managers::pickle::{Exception, Value};

/// Attributes by name.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    attributes: Mutex<BTreeMap<String, Value>>,
}

impl Namespace {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let (args, named) = args.into_parts();
        if !args.is_empty() {
            return Err(Exception::type_error(
                "Namespace() takes only named arguments",
            ));
        }
        Ok(Self {
            attributes: Mutex::new(named.into_iter().collect()),
        })
    }

    fn attributes(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        // Nothing that can panic runs under the lock.
        self.attributes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Managed for Namespace {
    fn methods(&self) -> &[&'static str] {
        &["__getattribute__", "__setattr__", "__delattr__"]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        _caller: &Caller,
    ) -> Result<Reply, Exception> {
        let missing = |name: &str| {
            Exception::attribute_error(format!(
                "'Namespace' object has no attribute '{name}'"
            ))
        };
        let mut attributes = self.attributes();
        match method {
            "__getattribute__" => {
                let (name,) = args.parse::<(String,)>(method)?;
                let value = attributes.get(&name).cloned();
                value.map(Reply::from).ok_or_else(|| missing(&name))
            }
            "__setattr__" => {
                let (name, value) = args.parse(method)?;
                attributes.insert(name, value);
                Ok(().into())
            }
            "__delattr__" => {
                let (name,) = args.parse::<(String,)>(method)?;
                match attributes.remove(&name) {
                    Some(_) => Ok(().into()),
                    None => Err(missing(&name)),
                }
            }
            _ => Err(no_method(method)),
        }
    }

    fn repr(&self) -> String {
        let attributes = self.attributes();
        let parts = attributes
            .iter()
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, value)| format!("{name}={}", value.py_repr()));
        format!("Namespace({})", parts.collect::<Vec<_>>().join(", "))
    }
}

/// One value.
#[derive(Debug)]
pub(super) struct Cell {
    /// Python keeps it for its `repr` only, and so does this.
    typecode: Value,
    value: Mutex<Value>,
}

impl Cell {
    pub(super) fn new(typecode: Value, value: Value) -> Self {
        Self {
            typecode,
            value: Mutex::new(value),
        }
    }

    fn held(&self) -> MutexGuard<'_, Value> {
        // Nothing that can panic runs under the lock.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Managed for Cell {
    fn methods(&self) -> &[&'static str] {
        &["get", "set"]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        _caller: &Caller,
    ) -> Result<Reply, Exception> {
        match method {
            "get" => {
                args.parse::<()>(method)?;
                Ok(self.held().clone().into())
            }
            "set" => {
                let (value,) = args.parse(method)?;
                *self.held() = value;
                Ok(().into())
            }
            _ => Err(no_method(method)),
        }
    }

    fn repr(&self) -> String {
        let (typecode, value) = (self.typecode.py_repr(), self.held().py_repr());
        format!("Value({typecode}, {value})")
    }
}
