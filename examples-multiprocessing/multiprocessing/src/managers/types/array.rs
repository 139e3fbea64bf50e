//! `array.array`

use std::sync::{Arc, Mutex, MutexGuard};

use super::containers::{MAX_ITEMS, Subscript, iterate, place, replace};
use super::{Call, Outcome, methods};
use crate::managers::convert::{Arguments, required};
use crate::managers::managed::Managed;
use crate::managers::pickle::array::{self, Element};
use crate::managers::pickle::{Exception, Value};
use crate::poison::lock_unpoisoned;

/// A fixed number of numbers, or of characters, of one type.
#[derive(Debug)]
pub(super) struct Array {
    element: Element,
    items: Mutex<Vec<Value>>,
}

impl Array {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [typecode, items, _lock] =
            args.bind("Array", ["typecode", "sequence", "lock"])?;
        let element = Element::new(&required::<String>(typecode, "typecode")?)?;
        let items = stored(element, required(items, "sequence")?)?;
        Ok(Self {
            element,
            items: Mutex::new(items),
        })
    }

    fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        lock_unpoisoned(&self.items)
    }

    fn length(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        Ok(self.items().len().into())
    }

    fn get_item(self: &Arc<Self>, call: Call) -> Outcome {
        let (key,) = call.parse::<(Value,)>()?;
        let items = self.items();
        match Subscript::new(&key, items.len(), "array")? {
            Subscript::Index(index) => {
                Ok(items[place(index, items.len(), "array")?].clone().into())
            }
            Subscript::Slice(slice) => {
                let part = slice.places.iter().map(|&at| items[at].clone());
                Ok(self.element.to_value(&part.collect::<Vec<_>>()).into())
            }
        }
    }

    fn set_item(self: &Arc<Self>, call: Call) -> Outcome {
        let (key, value) = call.parse::<(Value, Value)>()?;
        let mut items = self.items();
        match Subscript::new(&key, items.len(), "array")? {
            Subscript::Index(index) => {
                let place = place(index, items.len(), "array assignment")?;
                items[place] = self.element.store(value)?;
            }
            Subscript::Slice(slice) => {
                let values = replacement(self.element, &value)?;
                replace(&mut items, &slice, values)?;
            }
        }
        Ok(().into())
    }
}

/// What an array of this type is made of.
fn stored(element: Element, items: Value) -> Result<Vec<Value>, Exception> {
    match &items {
        Value::Str(_) if element.typecode() != 'u' => {
            return Err(Exception::type_error(format!(
                "cannot use a str to initialize an array with typecode '{}'",
                element.typecode()
            )));
        }
        // The bytes of the items themselves.
        Value::Bytes(bytes) | Value::ByteArray(bytes) => {
            if bytes.len() > MAX_ITEMS {
                return Err(Exception::memory_error());
            }
            return element.read(bytes).ok_or_else(|| {
                Exception::value_error("bytes length not a multiple of item size")
            });
        }
        _ => {}
    }
    let items = iterate(items)?.into_iter();
    items.map(|item| element.store(item)).collect()
}

/// The items of an array of the same type, which is all that can replace a slice.
fn replacement(element: Element, value: &Value) -> Result<Vec<Value>, Exception> {
    if let Value::Object(object) = value
        && array::element(object)
            .is_some_and(|other| other.typecode() == element.typecode())
        && let Some(items) = array::items(object)
    {
        return Ok(items);
    }
    Err(Exception::type_error(format!(
        "can only assign array (not \"{}\") to array slice",
        value.type_name()
    )))
}

impl Managed for Array {
    methods! {
        "__len__" => Self::length,
        "__getitem__" => Self::get_item,
        "__setitem__" => Self::set_item,
    }

    fn value(&self) -> Option<Value> {
        Some(self.element.to_value(&self.items()))
    }
}
