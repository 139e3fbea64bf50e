//! `list`

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use super::containers::{
    Subscript, added_to, clamped, integer, is_true, iterate, place, replace,
};
use super::{Call, Outcome, methods};
use crate::managers::convert::{Arguments, required};
use crate::managers::managed::{Managed, Reply};
use crate::managers::pickle::{
    Exception, MAX_MEMORY, Object, Value, charge_copy, equal, is_less,
};
use crate::poison::lock_unpoisoned;

/// A list of any values.
#[derive(Debug, Default)]
pub(super) struct List {
    items: Mutex<Vec<Value>>,
}

impl List {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [items] = args.positional("list", 0)?;
        let items = items.map(iterate).transpose()?.unwrap_or_default();
        Ok(Self {
            items: Mutex::new(items),
        })
    }

    fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        lock_unpoisoned(&self.items)
    }

    fn add(self: &Arc<Self>, call: Call) -> Outcome {
        match call.parse()? {
            (Value::List(values),) => {
                let mut sum = self.copy_of_items()?;
                sum.extend(values);
                Ok(Value::List(sum.into()).into())
            }
            (other,) => Err(Exception::type_error(format!(
                "can only concatenate list (not \"{}\") to list",
                other.type_name()
            ))),
        }
    }

    fn copy_of_items(&self) -> Result<Vec<Value>, Exception> {
        let items = self.items();
        charge_copy(items.len())?;
        Ok(items.clone())
    }

    fn contains(self: &Arc<Self>, call: Call) -> Outcome {
        let (value,) = call.parse()?;
        Ok(position(&self.items(), &value)?.is_some().into())
    }

    fn delete(self: &Arc<Self>, call: Call) -> Outcome {
        let (key,) = call.parse::<(Value,)>()?;
        let mut items = self.items();
        match Subscript::new(&key, items.len(), "list")? {
            Subscript::Index(index) => {
                let place = place(index, items.len(), "list assignment")?;
                items.remove(place);
            }
            Subscript::Slice(mut slice) => {
                charge_copy(items.len())?;
                slice.places.sort_unstable();
                let mut at = 0..;
                items.retain(|_| {
                    let at = at.next().unwrap_or_default();
                    slice.places.binary_search(&at).is_err()
                });
            }
        }
        Ok(().into())
    }

    fn get_item(self: &Arc<Self>, call: Call) -> Outcome {
        let (key,) = call.parse::<(Value,)>()?;
        let items = self.items();
        Ok(match Subscript::new(&key, items.len(), "list")? {
            Subscript::Index(index) => {
                items[place(index, items.len(), "list")?].clone().into()
            }
            Subscript::Slice(slice) => {
                charge_copy(slice.places.len())?;
                let places = slice.places.iter();
                let copies = places.map(|&place| items[place].clone());
                Value::List(copies.collect()).into()
            }
        })
    }

    fn set_item(self: &Arc<Self>, call: Call) -> Outcome {
        let (key, value) = call.parse::<(Value, Value)>()?;
        let mut items = self.items();
        match Subscript::new(&key, items.len(), "list")? {
            Subscript::Index(index) => {
                let place = place(index, items.len(), "list assignment")?;
                items[place] = value;
            }
            Subscript::Slice(_) => {
                let length = items.len();
                // Unlocked while another object is read, which may be this one.
                drop(items);
                let values = added_to(length, value).map_err(|error| {
                    // Too many items are another error.
                    match error.name() {
                        "TypeError" => {
                            Exception::type_error("can only assign an iterable")
                        }
                        _ => error,
                    }
                })?;
                let mut items = self.items();
                // Their number may have changed in the meantime.
                if let Subscript::Slice(slice) =
                    Subscript::new(&key, items.len(), "list")?
                {
                    replace(&mut items, &slice, values)?;
                }
            }
        }
        Ok(().into())
    }

    fn length(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        Ok(self.items().len().into())
    }

    fn multiply(self: &Arc<Self>, call: Call) -> Outcome {
        let (count,) = call.parse::<(Value,)>()?;
        Ok(Value::List(repeated(&self.items(), &count)?.into()).into())
    }

    fn multiply_in_place(self: &Arc<Self>, call: Call) -> Outcome {
        let (count,) = call.parse::<(Value,)>()?;
        let mut items = self.items();
        *items = repeated(&items, &count)?;
        Ok(().into())
    }

    /// An iterator over a copy, which runs at the client: what Python's server sends.
    fn reversed(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        Ok(Object::reversed(self.copy_of_items()?).into())
    }

    fn append(self: &Arc<Self>, call: Call) -> Outcome {
        let (item,) = call.parse()?;
        self.items().push(item);
        Ok(().into())
    }

    fn count(self: &Arc<Self>, call: Call) -> Outcome {
        let (value,) = call.parse::<(Value,)>()?;
        let mut count = 0_usize;
        for item in self.items().iter() {
            count += usize::from(equal(item, &value)?);
        }
        Ok(count.into())
    }

    fn extend(self: &Arc<Self>, call: Call) -> Outcome {
        let (values,) = call.parse()?;
        // Read before this list is locked: it may be another object's, or this one's.
        let length = self.items().len();
        let values = added_to(length, values)?;
        self.items().extend(values);
        Ok(().into())
    }

    fn index(self: &Arc<Self>, call: Call) -> Outcome {
        let [value, start, stop] = call.positional(1)?;
        let value: Value = required(value, "value")?;
        let items = self.items();
        let bound = |index: Option<Value>, default: i64| {
            let index = match index {
                None => default,
                Some(index) => integer(&index)
                    .map_err(|_| {
                        Exception::type_error(
                            "slice indices must be integers or have an __index__ \
                             method",
                        )
                    })?
                    .clamped(),
            };
            Ok::<_, Exception>(clamped(index, items.len()))
        };
        let (start, stop) = (bound(start, 0)?, bound(stop, i64::MAX)?);
        match position(&items[start..stop.max(start)], &value)? {
            Some(place) => Ok((start + place).into()),
            None => Err(Exception::value_error(format!(
                "{} is not in list",
                value.py_repr()
            ))),
        }
    }

    fn insert(self: &Arc<Self>, call: Call) -> Outcome {
        let (index, value) = call.parse::<(Value, Value)>()?;
        let index = integer(&index)?.for_c()?;
        let mut items = self.items();
        let place = clamped(index, items.len());
        items.insert(place, value);
        Ok(().into())
    }

    fn pop(self: &Arc<Self>, call: Call) -> Outcome {
        let [index] = call.positional(0)?;
        let index = index.map_or(Ok(-1), |index| integer(&index)?.for_c())?;
        let mut items = self.items();
        if items.is_empty() {
            return Err(Exception::index_error("pop from empty list"));
        }
        let place = place(index, items.len(), "pop")?;
        let list = Arc::clone(self);
        Ok(Reply::taken(items.remove(place), move |item| {
            let mut items = list.items();
            let place = place.min(items.len());
            items.insert(place, item);
        }))
    }

    fn remove(self: &Arc<Self>, call: Call) -> Outcome {
        let (value,) = call.parse::<(Value,)>()?;
        let mut items = self.items();
        match position(&items, &value)? {
            Some(place) => drop(items.remove(place)),
            None => {
                return Err(Exception::value_error("list.remove(x): x not in list"));
            }
        }
        Ok(().into())
    }

    fn reverse(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        self.items().reverse();
        Ok(().into())
    }

    fn sort(self: &Arc<Self>, call: Call) -> Outcome {
        let (args, named) = call.args.into_parts();
        if !args.is_empty() {
            return Err(Exception::type_error(
                "sort() takes no positional arguments",
            ));
        }
        let [key, reverse] =
            Arguments::new(args, named).bind("sort", ["key", "reverse"])?;
        if key.is_some_and(|key| key != Value::None) {
            return Err(Exception::type_error(
                "a key function cannot be sent to a manager",
            ));
        }
        sort(&mut self.items(), reverse.as_ref().is_some_and(is_true))?;
        Ok(().into())
    }

    fn clear(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        let old = mem::take(&mut *self.items());
        // Dropped once the list is unlocked: there may be many items.
        drop(old);
        Ok(().into())
    }

    fn copy(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        Ok(Value::List(self.copy_of_items()?.into()).into())
    }
}

impl Managed for List {
    methods! {
        "__add__" => Self::add,
        "__contains__" => Self::contains,
        "__delitem__" => Self::delete,
        "__getitem__" => Self::get_item,
        "__len__" => Self::length,
        "__mul__" => Self::multiply,
        "__reversed__" => Self::reversed,
        "__rmul__" => Self::multiply,
        "__setitem__" => Self::set_item,
        "append" => Self::append,
        "count" => Self::count,
        "extend" => Self::extend,
        "index" => Self::index,
        "insert" => Self::insert,
        "pop" => Self::pop,
        "remove" => Self::remove,
        "reverse" => Self::reverse,
        "sort" => Self::sort,
        "__imul__" => Self::multiply_in_place,
        "clear" => Self::clear,
        "copy" => Self::copy,
    }

    fn value(&self) -> Option<Value> {
        Some(Value::List(self.items().clone().into()))
    }
}

/// The place of the first item that equals a value.
fn position(items: &[Value], value: &Value) -> Result<Option<usize>, Exception> {
    for (place, item) in items.iter().enumerate() {
        if equal(item, value)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn repeated(items: &[Value], count: &Value) -> Result<Vec<Value>, Exception> {
    let Ok(count) = integer(count) else {
        return Err(Exception::type_error(format!(
            "can't multiply sequence by non-int of type '{}'",
            count.type_name()
        )));
    };
    let count = count.exact().ok_or_else(|| {
        Exception::overflow_error("cannot fit 'int' into an index-sized integer")
    })?;
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut left = MAX_MEMORY / count;
    for item in items {
        let size = item.size_within(left).ok_or_else(Exception::memory_error)?;
        left -= size;
    }
    let length = items.len() * count;
    charge_copy(length)?;
    Ok(items.iter().cycle().take(length).cloned().collect())
}

/// Stable, like Python's, by merging ever longer runs. An error leaves the items as they
/// were. Descending order is that of the reversed list, reversed: equal items keep their
/// order.
///
/// Not std's sort: with a NaN among them the items have no total order, and std's may
/// panic then. Like Python's this one compares by `<` alone.
fn sort(items: &mut Vec<Value>, descending: bool) -> Result<(), Exception> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    if descending {
        order.reverse();
    }
    let mut merged = Vec::with_capacity(order.len());
    let mut length = 1;
    while length < order.len() {
        for runs in order.chunks(2 * length) {
            let (mut left, mut right) = runs.split_at(length.min(runs.len()));
            while let ([first, left_rest @ ..], [second, right_rest @ ..]) =
                (left, right)
            {
                // The later against the earlier: Python's message names them so.
                if is_less(&items[*second], &items[*first])? {
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
    if descending {
        order.reverse();
    }
    let sorted = order
        .into_iter()
        .map(|place| mem::replace(&mut items[place], Value::None))
        .collect();
    *items = sorted;
    Ok(())
}
