//! `array.array`

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::containers::{Subscript, iterate, place, replace};
use super::{Call, Outcome, methods};
use crate::managers::convert::{Arguments, FromValue, WrongType, required};
use crate::managers::managed::Managed;
use crate::managers::pickle::{Exception, Object, Value};

/// A fixed number of numbers of one type.
#[derive(Debug)]
pub(super) struct Array {
    element: Element,
    items: Mutex<Vec<Value>>,
}

/// What a typecode stands for, on this machine and in the bytes that are sent.
#[derive(Debug, Clone, Copy)]
struct Element {
    typecode: char,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Signed(usize),
    Unsigned(usize),
    Float,
    Double,
}

impl Element {
    fn new(typecode: &str) -> Result<Self, Exception> {
        let kind = match typecode {
            "b" => Kind::Signed(1),
            "B" => Kind::Unsigned(1),
            "h" => Kind::Signed(2),
            "H" => Kind::Unsigned(2),
            "i" => Kind::Signed(4),
            "I" => Kind::Unsigned(4),
            "l" | "q" => Kind::Signed(8),
            "L" | "Q" => Kind::Unsigned(8),
            "f" => Kind::Float,
            "d" => Kind::Double,
            _ => {
                return Err(Exception::value_error(
                    "bad typecode (must be b, B, h, H, i, I, l, L, q, Q, f or d)",
                ));
            }
        };
        let typecode = typecode.chars().next().unwrap_or('d');
        Ok(Self { typecode, kind })
    }

    /// The value as it is stored.
    fn store(self, value: Value) -> Result<Value, Exception> {
        match self.kind {
            Kind::Double => Ok(f64::from_value(value)?.into()),
            Kind::Float => Ok(f64::from(f64::from_value(value)? as f32).into()),
            Kind::Signed(size) | Kind::Unsigned(size) => {
                let number = i64::from_value(value)?;
                let bits = 8 * size as u32;
                let fits = match self.kind {
                    Kind::Unsigned(8) => number >= 0,
                    Kind::Unsigned(_) => (0..1 << bits).contains(&number),
                    // The highest bit and the sign above it agree.
                    _ => matches!(number >> (bits - 1), 0 | -1),
                };
                if fits {
                    Ok(number.into())
                } else {
                    Err(Exception::overflow_error(format!(
                        "{number} does not fit an array of type '{}'",
                        self.typecode
                    )))
                }
            }
        }
    }

    /// The numbers of an array of the same type, which is all that a slice can be
    /// replaced by.
    fn same_numbers(self, value: Value) -> Result<Vec<Value>, Exception> {
        let same = matches!(
            &value,
            Value::Object(array) if array.name() == "array"
                && array.args().first() == Some(&Value::Str(self.typecode.into()))
        );
        if same {
            return Ok(numbers(value)?);
        }
        Err(Exception::type_error(format!(
            "can only assign array (not \"{}\") to array slice",
            value.type_name()
        )))
    }

    fn write(self, item: &Value, bytes: &mut Vec<u8>) {
        match (self.kind, item) {
            (Kind::Double, Value::Float(value)) => bytes.extend(value.to_ne_bytes()),
            (Kind::Float, Value::Float(value)) => {
                bytes.extend((*value as f32).to_ne_bytes());
            }
            (Kind::Signed(size) | Kind::Unsigned(size), Value::Int(value)) => {
                // Linux runs Python on little-endian machines too; the other kind
                // keeps its low bytes at the end.
                if cfg!(target_endian = "little") {
                    bytes.extend(&value.to_le_bytes()[..size]);
                } else {
                    bytes.extend(&value.to_be_bytes()[8 - size..]);
                }
            }
            _ => unreachable!("only what fits is stored"),
        }
    }
}

impl Array {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [typecode, items, _lock] =
            args.bind("Array", ["typecode", "sequence", "lock"])?;
        let element = Element::new(&required::<String>(typecode, "typecode")?)?;
        let items = iterate(required(items, "sequence")?)?;
        let items = items.into_iter().map(|item| element.store(item));
        Ok(Self {
            element,
            items: Mutex::new(items.collect::<Result<_, _>>()?),
        })
    }

    fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        // Nothing that can panic runs under the lock.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
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
                Ok(self.to_value(&part.collect::<Vec<_>>()).into())
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
                let values = self.element.same_numbers(value)?;
                replace(&mut items, &slice, values)?;
            }
        }
        Ok(().into())
    }

    /// `array(typecode, bytes)`, as Python sends it.
    fn to_value(&self, items: &[Value]) -> Value {
        let mut bytes = Vec::new();
        for item in items {
            self.element.write(item, &mut bytes);
        }
        let typecode = Value::Str(self.element.typecode.into());
        Object::call("array", "array", vec![typecode, Value::Bytes(bytes)])
    }
}

impl Managed for Array {
    methods! {
        "__len__" => Self::length,
        "__getitem__" => Self::get_item,
        "__setitem__" => Self::set_item,
    }

    fn value(&self) -> Option<Value> {
        Some(self.to_value(&self.items()))
    }

    fn repr(&self) -> String {
        let items = Value::List(self.items().clone());
        format!("array('{}', {})", self.element.typecode, items.py_repr())
    }
}

/// The numbers in an `array` that was sent.
pub(in crate::managers) fn numbers(value: Value) -> Result<Vec<Value>, WrongType> {
    numbers_in(&value).ok_or_else(|| WrongType::new("an array", &value))
}

fn numbers_in(value: &Value) -> Option<Vec<Value>> {
    let Value::Object(array) = value else {
        return None;
    };
    let [Value::Str(typecode), Value::Bytes(bytes)] = array.args() else {
        return None;
    };
    let element = Element::new(typecode).ok()?;
    let number = |part: &[u8]| -> Option<Value> {
        Some(match element.kind {
            Kind::Signed(1) => i8::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Unsigned(1) => u8::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Signed(2) => i16::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Unsigned(2) => u16::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Signed(4) => i32::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Unsigned(4) => u32::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Float => {
                f64::from(f32::from_ne_bytes(part.try_into().ok()?)).into()
            }
            Kind::Double => f64::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Signed(_) => i64::from_ne_bytes(part.try_into().ok()?).into(),
            Kind::Unsigned(_) => {
                i64::try_from(u64::from_ne_bytes(part.try_into().ok()?))
                    .ok()?
                    .into()
            }
        })
    };
    let size = match element.kind {
        Kind::Signed(size) | Kind::Unsigned(size) => size,
        Kind::Float => 4,
        Kind::Double => 8,
    };
    bytes.chunks(size).map(number).collect()
}
