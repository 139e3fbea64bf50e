//! `dict`, and the iterator over its keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::containers::iterate;
use crate::managers::convert::{Arguments, FromValue, required};
use crate::managers::managed::{Caller, Managed, Reply, no_method};
use crate::managers::pickle::{Exception, Key, Value};

/// A dictionary that remembers the order in which its keys came.
#[derive(Debug, Default)]
pub(super) struct Dict {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// Each key's number: keys that came later have higher ones.
    numbers: HashMap<Key, u64>,
    by_number: BTreeMap<u64, (Value, Value)>,
    next: u64,
}

impl Entries {
    fn get(&self, key: &Key) -> Option<&Value> {
        let number = self.numbers.get(key)?;
        self.by_number.get(number).map(|(_, value)| value)
    }

    /// A key that is there keeps its place.
    fn insert(&mut self, key: Key, value: Value) {
        if let Some(number) = self.numbers.get(&key) {
            if let Some((_, held)) = self.by_number.get_mut(number) {
                *held = value;
            }
            return;
        }
        self.by_number
            .insert(self.next, (key.value().clone(), value));
        self.numbers.insert(key, self.next);
        self.next += 1;
    }

    /// Puts back what was popped, unless somebody has set the key since.
    fn put_back(&mut self, key: Key, value: Value) {
        if !self.numbers.contains_key(&key) {
            self.insert(key, value);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Value> {
        let number = self.numbers.remove(key)?;
        self.by_number.remove(&number).map(|(_, value)| value)
    }

    fn pop_last(&mut self) -> Option<(Value, Value)> {
        let (_, (key, value)) = self.by_number.pop_last()?;
        if let Ok(key) = Key::new(key.clone()) {
            self.numbers.remove(&key);
        }
        Some((key, value))
    }

    fn to_value(&self) -> Value {
        Value::Dict(self.by_number.values().cloned().collect())
    }

    /// What `dict.update` takes: a dict, or pairs, and names.
    fn update(
        &mut self,
        other: Option<Value>,
        named: Vec<(String, Value)>,
    ) -> Result<(), Exception> {
        for (key, value) in pairs(other.unwrap_or(Value::List(Vec::new())))? {
            self.insert(Key::new(key)?, value);
        }
        for (name, value) in named {
            self.insert(Key::new(name.into())?, value);
        }
        Ok(())
    }
}

fn pairs(value: Value) -> Result<Vec<(Value, Value)>, Exception> {
    match value {
        Value::Dict(entries) => Ok(entries),
        Value::Proxy(proxy) => match proxy.managed().and_then(|m| m.value()) {
            Some(value @ (Value::Dict(_) | Value::List(_))) => pairs(value),
            _ => Err(Exception::type_error("the proxy's object is no dict")),
        },
        other => iterate(other)?
            .into_iter()
            .map(|pair| Ok(FromValue::from_value(pair)?))
            .collect(),
    }
}

impl Dict {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let mut entries = Entries::default();
        let (other, named) = one_and_names(args, "dict")?;
        entries.update(other, named)?;
        Ok(Self {
            entries: Mutex::new(entries),
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Nothing that can panic runs under the lock.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a method takes that takes one argument and any names.
type OneAndNames = (Option<Value>, Vec<(String, Value)>);

fn one_and_names(args: Arguments, method: &str) -> Result<OneAndNames, Exception> {
    let (args, named) = args.into_parts();
    let [other] = Arguments::new(args, Vec::new()).bind(method, ["other"])?;
    Ok((other, named))
}

impl Managed for Dict {
    fn methods(&self) -> &[&'static str] {
        &[
            "__contains__",
            "__delitem__",
            "__getitem__",
            "__iter__",
            "__len__",
            "__setitem__",
            "clear",
            "copy",
            "get",
            "items",
            "keys",
            "pop",
            "popitem",
            "setdefault",
            "update",
            "values",
            "__or__",
            "__ror__",
            "__ior__",
        ]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        _caller: &Caller,
    ) -> Result<Reply, Exception> {
        let mut entries = self.entries();
        match method {
            "get" => {
                let [key, default] = args.bind(method, ["key", "default"])?;
                let key = Key::new(required(key, "key")?)?;
                let value = entries.get(&key).cloned().or(default);
                return Ok(value.into());
            }
            "__setitem__" => {
                let (key, value) = args.parse::<(Value, Value)>(method)?;
                entries.insert(Key::new(key)?, value);
            }
            "__getitem__" => {
                let key = Key::new(args.parse::<(Value,)>(method)?.0)?;
                return match entries.get(&key) {
                    Some(value) => Ok(value.clone().into()),
                    None => Err(Exception::key_error(key.into_value())),
                };
            }
            "__delitem__" => {
                let key = Key::new(args.parse::<(Value,)>(method)?.0)?;
                if entries.remove(&key).is_none() {
                    return Err(Exception::key_error(key.into_value()));
                }
            }
            "__contains__" => {
                let key = Key::new(args.parse::<(Value,)>(method)?.0)?;
                return Ok(entries.get(&key).is_some().into());
            }
            "__len__" => return Ok(entries.by_number.len().into()),
            "__iter__" => {
                let keys = entries.by_number.values().map(|(key, _)| key.clone());
                let keys = Keys::new(keys.collect());
                return Ok(Reply::object("Iterator", Arc::new(keys)));
            }
            "keys" => {
                let keys = entries.by_number.values().map(|(key, _)| key.clone());
                return Ok(keys.collect::<Vec<_>>().into());
            }
            "values" => {
                let values =
                    entries.by_number.values().map(|(_, value)| value.clone());
                return Ok(values.collect::<Vec<_>>().into());
            }
            "items" => {
                let pairs = entries.by_number.values().cloned().map(Value::from);
                return Ok(pairs.collect::<Vec<_>>().into());
            }
            "pop" => {
                let [key, default] = args.bind(method, ["key", "default"])?;
                let key = Key::new(required(key, "key")?)?;
                let Some(value) = entries.remove(&key) else {
                    let missing = || Exception::key_error(key.into_value());
                    return default.map(Reply::from).ok_or_else(missing);
                };
                let dict = Arc::clone(&self);
                return Ok(Reply::taken(value, move |value| {
                    dict.entries().put_back(key, value);
                }));
            }
            "popitem" => {
                let item = entries.pop_last().ok_or_else(|| {
                    Exception::key_error("popitem(): dictionary is empty".into())
                })?;
                let dict = Arc::clone(&self);
                return Ok(Reply::taken(item.into(), move |item| {
                    if let Ok((key, value)) = FromValue::from_value(item)
                        && let Ok(key) = Key::new(key)
                    {
                        dict.entries().put_back(key, value);
                    }
                }));
            }
            "setdefault" => {
                let [key, default] = args.bind(method, ["key", "default"])?;
                let key = Key::new(required(key, "key")?)?;
                if let Some(value) = entries.get(&key) {
                    return Ok(value.clone().into());
                }
                let default = default.unwrap_or(Value::None);
                entries.insert(key, default.clone());
                return Ok(default.into());
            }
            "update" => {
                let (other, named) = one_and_names(args, method)?;
                // Free while another object is asked, which may be this one.
                drop(entries);
                let other =
                    Value::Dict(other.map(pairs).transpose()?.unwrap_or_default());
                self.entries().update(Some(other), named)?;
            }
            "__or__" | "__ror__" | "__ior__" => {
                let (other,) = args.parse(method)?;
                drop(entries);
                let other = Value::Dict(pairs(other)?);
                // What others set in the meantime stays.
                let mut entries = self.entries();
                if method == "__ior__" {
                    entries.update(Some(other), Vec::new())?;
                    return Ok(entries.to_value().into());
                }
                let own = entries.to_value();
                drop(entries);
                let (first, second) = match method {
                    "__ror__" => (other, own),
                    _ => (own, other),
                };
                let mut merged = Entries::default();
                merged.update(Some(first), Vec::new())?;
                merged.update(Some(second), Vec::new())?;
                return Ok(merged.to_value().into());
            }
            "clear" => *entries = Entries::default(),
            "copy" => return Ok(entries.to_value().into()),
            _ => return Err(no_method(method)),
        }
        Ok(().into())
    }

    fn value(&self) -> Option<Value> {
        Some(self.entries().to_value())
    }
}

/// The keys that a dictionary had when somebody began to iterate.
#[derive(Debug)]
struct Keys {
    left: Mutex<std::vec::IntoIter<Value>>,
}

impl Keys {
    fn new(keys: Vec<Value>) -> Self {
        Self {
            left: Mutex::new(keys.into_iter()),
        }
    }
}

impl Managed for Keys {
    fn methods(&self) -> &[&'static str] {
        // `send` and `throw` are for generators, which this is not.
        &["__next__", "close"]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        _args: Arguments,
        _caller: &Caller,
    ) -> Result<Reply, Exception> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match method {
            "__next__" => match left.next() {
                Some(key) => Ok(key.into()),
                None => Err(Exception::stop_iteration()),
            },
            "close" => {
                *left = Vec::new().into_iter();
                Ok(().into())
            }
            _ => Err(no_method(method)),
        }
    }
}
