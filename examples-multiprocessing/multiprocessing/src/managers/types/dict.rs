//! `dict`, and the iterator over its keys.

use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard};

use hashlink::LinkedHashMap;

use super::containers::iterate;
use super::{Call, Outcome, methods};
use crate::managers::convert::{Arguments, required};
use crate::managers::managed::{Managed, Reply};
use crate::managers::pickle::{Exception, Key, Value, charge_copy};
use crate::managers::server::target_of;
use crate::poison::lock_unpoisoned;

/// A dictionary, in the order in which its keys were added.
#[derive(Debug, Default)]
pub(super) struct Dict {
    entries: Mutex<Entries>,
}

type Entries = LinkedHashMap<Key, Value, RandomState>;

/// Sets a key; one that is there already keeps its place.
fn insert(entries: &mut Entries, key: Key, value: Value) {
    match entries.get_mut(&key) {
        Some(held) => *held = value,
        None => {
            entries.insert(key, value);
        }
    }
}

/// Takes the steps for copying all entries so many times: each is a key and a value.
fn charge_copies(times: usize, entries: &Entries) -> Result<(), Exception> {
    charge_copy(times * 2 * entries.len())
}

fn to_value(entries: &Entries) -> Value {
    let entries = entries.iter();
    let entries = entries.map(|(key, value)| (key.value().clone(), value.clone()));
    Value::Dict(entries.collect())
}

/// Sets several keys. As in Python, those before a failure stay set.
fn update(entries: &mut Entries, pairs: Pairs) -> Result<(), Exception> {
    for (key, value) in pairs.before_failure {
        insert(entries, Key::new(key)?, value);
    }
    pairs.failure.map_or(Ok(()), Err)
}

/// What a dict is made of or updated with.
#[derive(Default)]
struct Pairs {
    before_failure: Vec<(Value, Value)>,
    failure: Option<Exception>,
}

impl Pairs {
    /// The one argument and the names that `dict` and `dict.update` take.
    fn of_arguments(args: Arguments, method: &str) -> Result<Self, Exception> {
        let (args, named) = args.into_parts();
        let [other] = Arguments::new(args, Vec::new()).positional(method, 0)?;
        let mut pairs = other.map(Self::of_value).transpose()?.unwrap_or_default();
        if pairs.failure.is_none() {
            let named = named.into_iter();
            let named = named.map(|(name, value)| (Value::from(name), value));
            pairs.before_failure.extend(named);
        }
        Ok(pairs)
    }

    /// The entries of a mapping, or the pairs that something iterable gives.
    fn of_value(value: Value) -> Result<Self, Exception> {
        if let Value::Proxy(proxy) = &value
            && let Some(value @ Value::Dict(_)) =
                target_of(proxy).and_then(|managed| managed.value())
        {
            return Self::of_value(value);
        }
        let items = match value.into_entries() {
            Ok(before_failure) => {
                return Ok(Self {
                    before_failure,
                    failure: None,
                });
            }
            Err(value) => iterate(value)?,
        };
        let mut pairs = Self::default();
        for (index, item) in items.into_iter().enumerate() {
            match pair(index, item) {
                Ok(pair) => pairs.before_failure.push(pair),
                Err(failure) => {
                    pairs.failure = Some(failure);
                    break;
                }
            }
        }
        Ok(pairs)
    }
}

fn pair(index: usize, item: Value) -> Result<(Value, Value), Exception> {
    let parts = iterate(item).map_err(|_| {
        Exception::type_error(format!(
            "cannot convert dictionary update sequence element #{index} to a sequence"
        ))
    })?;
    let [key, value] = <[Value; 2]>::try_from(parts).map_err(|parts| {
        Exception::value_error(format!(
            "dictionary update sequence element #{index} has length {}; 2 is required",
            parts.len()
        ))
    })?;
    Ok((key, value))
}

impl Dict {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let mut entries = Entries::default();
        update(&mut entries, Pairs::of_arguments(args, "dict")?)?;
        Ok(Self {
            entries: Mutex::new(entries),
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        lock_unpoisoned(&self.entries)
    }

    /// Puts back what was taken out, unless a client has set the key in the meantime.
    fn put_back(&self, key: Key, value: Value) {
        let mut entries = self.entries();
        if !entries.contains_key(&key) {
            entries.insert(key, value);
        }
    }

    fn contains(self: &Arc<Self>, call: Call) -> Outcome {
        let key = Key::new(call.parse::<(Value,)>()?.0)?;
        Ok(self.entries().contains_key(&key).into())
    }

    fn delete(self: &Arc<Self>, call: Call) -> Outcome {
        let key = Key::new(call.parse::<(Value,)>()?.0)?;
        match self.entries().remove(&key) {
            Some(_) => Ok(().into()),
            None => Err(Exception::key_error(key.into_value())),
        }
    }

    fn get_item(self: &Arc<Self>, call: Call) -> Outcome {
        let key = Key::new(call.parse::<(Value,)>()?.0)?;
        match self.entries().get(&key) {
            Some(value) => Ok(value.clone().into()),
            None => Err(Exception::key_error(key.into_value())),
        }
    }

    fn set_item(self: &Arc<Self>, call: Call) -> Outcome {
        let (key, value) = call.parse::<(Value, Value)>()?;
        insert(&mut self.entries(), Key::new(key)?, value);
        Ok(().into())
    }

    fn iterator(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let keys = Keys::new(Arc::clone(self));
        Ok(Reply::object("Iterator", Arc::new(keys)))
    }

    fn length(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        Ok(self.entries().len().into())
    }

    fn clear(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let old = std::mem::take(&mut *self.entries());
        // Dropped once the dict is unlocked: there may be many values.
        drop(old);
        Ok(().into())
    }

    fn copy(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let entries = self.entries();
        charge_copies(1, &entries)?;
        Ok(to_value(&entries).into())
    }

    fn get(self: &Arc<Self>, call: Call) -> Outcome {
        let [key, default] = call.positional(1)?;
        let key = Key::new(required(key, "key")?)?;
        let value = self.entries().get(&key).cloned();
        Ok(value.or(default).into())
    }

    fn keys(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let entries = self.entries();
        charge_copy(entries.len())?;
        Ok(Value::List(keys_of(&entries).into()).into())
    }

    fn values(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let entries = self.entries();
        charge_copy(entries.len())?;
        Ok(Value::List(entries.values().cloned().collect()).into())
    }

    fn items(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let entries = self.entries();
        // The allocation of a pair takes about as long as the copy that it holds.
        charge_copies(2, &entries)?;
        let pairs = entries
            .iter()
            .map(|(key, value)| Value::from((key.value().clone(), value.clone())));
        Ok(Value::List(pairs.collect()).into())
    }

    fn pop(self: &Arc<Self>, call: Call) -> Outcome {
        let [key, default] = call.positional(1)?;
        let key: Value = required(key, "key")?;
        if self.entries().is_empty() {
            // As in Python, anything can be asked for: it is not hashed.
            let missing = || Exception::key_error(key);
            return default.map(Reply::from).ok_or_else(missing);
        }
        let key = Key::new(key)?;
        let Some(value) = self.entries().remove(&key) else {
            let missing = || Exception::key_error(key.into_value());
            return default.map(Reply::from).ok_or_else(missing);
        };
        let dict = Arc::clone(self);
        Ok(Reply::taken(value, move |value| dict.put_back(key, value)))
    }

    fn pop_item(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let last = self.entries().pop_back();
        let (key, value) = last.ok_or_else(|| {
            Exception::key_error("popitem(): dictionary is empty".into())
        })?;
        let dict = Arc::clone(self);
        let item = Value::from((key.value().clone(), value));
        Ok(Reply::taken(item, move |item| {
            if let Value::Tuple(parts) = item
                && let Some(value) = parts.last()
            {
                dict.put_back(key, value.clone());
            }
        }))
    }

    fn set_default(self: &Arc<Self>, call: Call) -> Outcome {
        let [key, default] = call.positional(1)?;
        let key = Key::new(required(key, "key")?)?;
        let mut entries = self.entries();
        if let Some(value) = entries.get(&key) {
            return Ok(value.clone().into());
        }
        let default = default.unwrap_or(Value::None);
        entries.insert(key, default.clone());
        Ok(default.into())
    }

    fn update(self: &Arc<Self>, call: Call) -> Outcome {
        // Read before this dict is locked: it may be another object's, or this one's.
        let pairs = Pairs::of_arguments(call.args, call.method)?;
        update(&mut self.entries(), pairs)?;
        Ok(().into())
    }

    fn or(self: &Arc<Self>, call: Call) -> Outcome {
        let other = Pairs::of_value(call.parse::<(Value,)>()?.0)?;
        let entries = self.entries();
        // Into the merged dict, and from there into the reply.
        charge_copies(2, &entries)?;
        let mut merged = entries.clone();
        drop(entries);
        update(&mut merged, other)?;
        Ok(to_value(&merged).into())
    }

    fn reverse_or(self: &Arc<Self>, call: Call) -> Outcome {
        let mut merged = Entries::default();
        update(&mut merged, Pairs::of_value(call.parse::<(Value,)>()?.0)?)?;
        let entries = self.entries();
        // Into the merged dict, and from there into the reply.
        charge_copies(2, &entries)?;
        for (key, value) in entries.iter() {
            insert(&mut merged, key.clone(), value.clone());
        }
        Ok(to_value(&merged).into())
    }

    fn or_in_place(self: &Arc<Self>, call: Call) -> Outcome {
        let other = Pairs::of_value(call.parse::<(Value,)>()?.0)?;
        // Keys that others have set in the meantime stay.
        let mut entries = self.entries();
        update(&mut entries, other)?;
        charge_copies(1, &entries)?;
        Ok(to_value(&entries).into())
    }
}

fn keys_of(entries: &Entries) -> Vec<Value> {
    entries.keys().map(|key| key.value().clone()).collect()
}

impl Managed for Dict {
    methods! {
        "__contains__" => Self::contains,
        "__delitem__" => Self::delete,
        "__getitem__" => Self::get_item,
        "__iter__" => Self::iterator,
        "__len__" => Self::length,
        "__setitem__" => Self::set_item,
        "clear" => Self::clear,
        "copy" => Self::copy,
        "get" => Self::get,
        "items" => Self::items,
        "keys" => Self::keys,
        "pop" => Self::pop,
        "popitem" => Self::pop_item,
        "setdefault" => Self::set_default,
        "update" => Self::update,
        "values" => Self::values,
        "__or__" => Self::or,
        "__ror__" => Self::reverse_or,
        "__ior__" => Self::or_in_place,
    }

    fn value(&self) -> Option<Value> {
        Some(to_value(&self.entries()))
    }
}

/// An iterator over the keys that a dict had when the iteration began.
#[derive(Debug)]
struct Keys {
    dict: Arc<Dict>,
    state: Mutex<Iteration>,
}

#[derive(Debug)]
struct Iteration {
    /// The number of keys at the beginning: the iteration fails if it changes.
    size: usize,
    left: std::vec::IntoIter<Value>,
    end: Option<End>,
}

/// How an iteration ended. It stays ended, whatever becomes of the dict.
#[derive(Debug, Clone, Copy)]
enum End {
    Exhausted,
    SizeChanged,
}

impl Keys {
    fn new(dict: Arc<Dict>) -> Self {
        let keys = keys_of(&dict.entries());
        Self {
            dict,
            state: Mutex::new(Iteration {
                size: keys.len(),
                left: keys.into_iter(),
                end: None,
            }),
        }
    }

    fn next(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let size = self.dict.entries().len();
        let mut state = lock_unpoisoned(&self.state);
        if state.end.is_none() && state.size != size {
            state.end = Some(End::SizeChanged);
        }
        let next = match state.end {
            None => state.left.next(),
            Some(_) => None,
        };
        match (next, state.end) {
            (Some(key), _) => Ok(key.into()),
            (None, Some(End::SizeChanged)) => Err(Exception::runtime_error(
                "dictionary changed size during iteration",
            )),
            (None, _) => {
                state.end = Some(End::Exhausted);
                Err(Exception::stop_iteration())
            }
        }
    }
}

impl Managed for Keys {
    // A proxy of an iterator has `send`, `throw` and `close` too: those are for
    // generators, and raise here as they do for Python's iterators of dicts.
    methods! {
        "__next__" => Self::next,
    }
}
