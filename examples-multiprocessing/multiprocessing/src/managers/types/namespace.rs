//! `Namespace` and `Value`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Call, Outcome, methods};
use crate::managers::convert::Arguments;
use crate::managers::managed::{Managed, Reply};
use crate::managers::pickle::{Exception, Object, Value};
use crate::poison::lock_unpoisoned;

/// Where Python has the classes of these two.
const MODULE: &str = "multiprocessing.managers";

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
        lock_unpoisoned(&self.attributes)
    }
}

impl Namespace {
    fn get(self: &Arc<Self>, call: Call) -> Outcome {
        let (name,) = call.parse::<(String,)>()?;
        let value = self.attributes().get(&name).cloned();
        value.map(Reply::from).ok_or_else(|| missing(&name))
    }

    fn set(self: &Arc<Self>, call: Call) -> Outcome {
        let (name, value) = call.parse::<(String, Value)>()?;
        self.attributes().insert(name, value);
        Ok(().into())
    }

    fn delete(self: &Arc<Self>, call: Call) -> Outcome {
        let (name,) = call.parse::<(String,)>()?;
        match self.attributes().remove(&name) {
            Some(_) => Ok(().into()),
            None => Err(missing(&name)),
        }
    }
}

fn missing(name: &str) -> Exception {
    Exception::attribute_error(format!(
        "'Namespace' object has no attribute '{name}'"
    ))
}

impl Managed for Namespace {
    methods! {
        "__getattribute__" => Self::get,
        "__setattr__" => Self::set,
        "__delattr__" => Self::delete,
    }

    fn value(&self) -> Option<Value> {
        let attributes = self.attributes();
        let attributes = attributes.iter();
        let attributes = attributes
            .map(|(name, value)| (Value::from(name.as_str()), value.clone()));
        let state = Value::Dict(attributes.collect());
        Some(Object::with_state(MODULE, "Namespace", state))
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
    /// Only shown by `repr`, as in Python.
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
        lock_unpoisoned(&self.value)
    }
}

impl Cell {
    fn get(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        Ok(self.held().clone().into())
    }

    fn set(self: &Arc<Self>, call: Call) -> Outcome {
        let (value,) = call.parse::<(Value,)>()?;
        *self.held() = value;
        Ok(().into())
    }
}

impl Managed for Cell {
    methods! {
        "get" => Self::get,
        "set" => Self::set,
    }

    fn value(&self) -> Option<Value> {
        let state = vec![
            ("_typecode".into(), self.typecode.clone()),
            ("_value".into(), self.held().clone()),
        ];
        Some(Object::with_state(
            MODULE,
            "Value",
            Value::Dict(state.into()),
        ))
    }

    fn repr(&self) -> String {
        let (typecode, value) = (self.typecode.py_repr(), self.held().py_repr());
        format!("Value({typecode}, {value})")
    }
}
