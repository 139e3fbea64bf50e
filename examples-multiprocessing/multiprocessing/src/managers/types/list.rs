//! `list`

use std::cmp::Ordering;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::containers::{Subscript, clamped, iterate, place};
use crate::managers::convert::{Arguments, optional, required};
use crate::managers::managed::{Caller, Managed, Reply, no_method};
use crate::managers::pickle::{Exception, MAX_MEMORY, Value, compare, equal};

/// A list of any values.
#[derive(Debug, Default)]
pub(super) struct List {
    items: Mutex<Vec<Value>>,
}

impl List {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [items] = args.bind("list", ["iterable"])?;
        let items = items.map(iterate).transpose()?.unwrap_or_default();
        Ok(Self {
            items: Mutex::new(items),
        })
    }

    fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        // Nothing that can panic runs under the lock.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Managed for List {
    fn methods(&self) -> &[&'static str] {
        &[
            "__add__",
            "__contains__",
            "__delitem__",
            "__getitem__",
            "__len__",
            "__mul__",
            "__reversed__",
            "__rmul__",
            "__setitem__",
            "append",
            "count",
            "extend",
            "index",
            "insert",
            "pop",
            "remove",
            "reverse",
            "sort",
            "__imul__",
            "clear",
            "copy",
        ]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        _caller: &Caller,
    ) -> Result<Reply, Exception> {
        let mut items = self.items();
        match method {
            "append" => {
                let (item,) = args.parse(method)?;
                items.push(item);
            }
            "__getitem__" => {
                let (key,) = args.parse::<(Value,)>(method)?;
                return Ok(match Subscript::new(&key, items.len())? {
                    Subscript::Index(index) => {
                        items[place(index, items.len(), "list")?].clone().into()
                    }
                    Subscript::Places(places) => {
                        Value::List(copies(&items, &places)).into()
                    }
                });
            }
            "__setitem__" => {
                let (key, value) = args.parse::<(Value, Value)>(method)?;
                match Subscript::new(&key, items.len())? {
                    Subscript::Index(index) => {
                        let place = place(index, items.len(), "list assignment")?;
                        items[place] = value;
                    }
                    Subscript::Places(_) => {
                        // Free while another object is asked, which may be this one.
                        drop(items);
                        let values = iterate(value)?;
                        let mut items = self.items();
                        // There may be more items or fewer by now.
                        if let Subscript::Places(places) =
                            Subscript::new(&key, items.len())?
                        {
                            replace(&mut items, &key, &places, values)?;
                        }
                    }
                }
            }
            "__delitem__" => {
                let (key,) = args.parse::<(Value,)>(method)?;
                match Subscript::new(&key, items.len())? {
                    Subscript::Index(index) => {
                        let place = place(index, items.len(), "list assignment")?;
                        items.remove(place);
                    }
                    Subscript::Places(mut places) => {
                        places.sort_unstable();
                        let mut at = 0..;
                        items.retain(|_| {
                            let at = at.next().unwrap_or_default();
                            places.binary_search(&at).is_err()
                        });
                    }
                }
            }
            "__len__" => return Ok(items.len().into()),
            "__contains__" => {
                let (value,) = args.parse(method)?;
                return Ok(items.iter().any(|item| equal(item, &value)).into());
            }
            "extend" => {
                let (values,) = args.parse(method)?;
                // Free while another object is asked, which may be this one.
                drop(items);
                let values = iterate(values)?;
                self.items().extend(values);
            }
            "__add__" => {
                let (values,) = args.parse(method)?;
                let mut sum = items.clone();
                drop(items);
                sum.extend(iterate(values)?);
                return Ok(Value::List(sum).into());
            }
            "__mul__" | "__rmul__" => {
                let (count,) = args.parse(method)?;
                return Ok(Value::List(repeated(&items, count)?).into());
            }
            "__imul__" => {
                let (count,) = args.parse(method)?;
                *items = repeated(&items, count)?;
            }
            "count" => {
                let (value,) = args.parse(method)?;
                let equals = items.iter().filter(|item| equal(item, &value));
                return Ok(equals.count().into());
            }
            "index" => {
                let [value, start, stop] =
                    args.bind(method, ["value", "start", "stop"])?;
                let value: Value = required(value, "value")?;
                let start = clamped(optional(start, 0)?, items.len());
                let stop = clamped(optional(stop, i64::MAX)?, items.len());
                let range = start..stop.max(start);
                return match items[range].iter().position(|i| equal(i, &value)) {
                    Some(place) => Ok((start + place).into()),
                    None => Err(Exception::value_error(format!(
                        "{} is not in list",
                        value.py_repr()
                    ))),
                };
            }
            "insert" => {
                let (index, value) = args.parse::<(i64, Value)>(method)?;
                let place = clamped(index, items.len());
                items.insert(place, value);
            }
            "pop" => {
                let [index] = args.bind(method, ["index"])?;
                if items.is_empty() {
                    return Err(Exception::index_error("pop from empty list"));
                }
                let index = optional(index, -1)?;
                let place = place(index, items.len(), "pop")?;
                let list = Arc::clone(&self);
                return Ok(Reply::taken(items.remove(place), move |item| {
                    let mut items = list.items();
                    let place = place.min(items.len());
                    items.insert(place, item);
                }));
            }
            "remove" => {
                let (value,) = args.parse::<(Value,)>(method)?;
                match items.iter().position(|item| equal(item, &value)) {
                    Some(place) => drop(items.remove(place)),
                    None => {
                        return Err(Exception::value_error(
                            "list.remove(x): x not in list",
                        ));
                    }
                }
            }
            "reverse" => items.reverse(),
            "__reversed__" => {
                return Ok(items.iter().rev().cloned().collect::<Vec<_>>().into());
            }
            "sort" => {
                let [key, reverse] = args.bind(method, ["key", "reverse"])?;
                if key.is_some_and(|key| key != Value::None) {
                    return Err(Exception::type_error(
                        "a key function cannot be sent to a manager",
                    ));
                }
                sort(&mut items, optional(reverse, false)?)?;
            }
            "clear" => items.clear(),
            "copy" => return Ok(items.clone().into()),
            _ => return Err(no_method(method)),
        }
        Ok(().into())
    }

    fn value(&self) -> Option<Value> {
        Some(Value::List(self.items().clone()))
    }
}

fn copies(items: &[Value], places: &[usize]) -> Vec<Value> {
    places.iter().map(|&place| items[place].clone()).collect()
}

/// `items[places] = values`. A slice without a step may change its length.
fn replace(
    items: &mut Vec<Value>,
    key: &Value,
    places: &[usize],
    values: Vec<Value>,
) -> Result<(), Exception> {
    let Value::Object(slice) = key else {
        unreachable!("only a slice has places");
    };
    if let [start, _, Value::None | Value::Int(1)] = slice.args() {
        let start = match (places.first(), start) {
            (Some(&first), _) => first,
            (None, Value::Int(start)) => clamped(*start, items.len()),
            (None, _) => 0,
        };
        items.splice(start..start + places.len(), values);
    } else if values.len() == places.len() {
        for (&place, value) in places.iter().zip(values) {
            items[place] = value;
        }
    } else {
        return Err(Exception::value_error(format!(
            "attempt to assign sequence of size {} to extended slice of size {}",
            values.len(),
            places.len()
        )));
    }
    Ok(())
}

fn repeated(items: &[Value], count: i64) -> Result<Vec<Value>, Exception> {
    let count = usize::try_from(count).unwrap_or(0);
    let bytes: usize = items.iter().map(Value::size).sum();
    match bytes.checked_mul(count) {
        Some(bytes) if bytes <= MAX_MEMORY => {
            let length = items.len() * count;
            Ok(items.iter().cycle().take(length).cloned().collect())
        }
        _ => Err(Exception::memory_error()),
    }
}

/// Stable, like Python's, by merging ever longer runs. An error leaves the items as they
/// were.
///
/// Not std's: with a NaN among them the items have no total order, and std's sort may
/// panic then. Like Python's it compares by `<` alone, so that a NaN stays about where
/// it was.
fn sort(items: &mut Vec<Value>, reverse: bool) -> Result<(), Exception> {
    let before = if reverse {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    let mut order: Vec<usize> = (0..items.len()).collect();
    let mut merged = Vec::with_capacity(order.len());
    let mut length = 1;
    while length < order.len() {
        for runs in order.chunks(2 * length) {
            let (mut left, mut right) = runs.split_at(length.min(runs.len()));
            while let ([first, left_rest @ ..], [second, right_rest @ ..]) =
                (left, right)
            {
                // The later against the earlier, which is what Python's message names.
                if compare(&items[*second], &items[*first])? == Some(before) {
                    merged.push(*second);
                    right = right_rest;
                } else {
                    merged.push(*first);
                    left = left_rest;
                }
            }
            merged.extend(left);
            merged.extend(right);
        }
        mem::swap(&mut order, &mut merged);
        merged.clear();
        length *= 2;
    }
    let sorted = order
        .into_iter()
        .map(|place| mem::replace(&mut items[place], Value::None))
        .collect();
    *items = sorted;
    Ok(())
}
