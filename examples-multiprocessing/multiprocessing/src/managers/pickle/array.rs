//! The items of Python's `array.array`.

use std::fmt;

use super::number;
use super::value::{Exception, Object, Value, int_from_bytes};

/// What a typecode stands for, on this machine and in the bytes that are sent.
#[derive(Clone, Copy)]
pub(in crate::managers) struct Element {
    typecode: char,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Signed(usize),
    Unsigned(usize),
    Float,
    Double,
    Unicode,
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.typecode.fmt(f)
    }
}

impl Element {
    /// # Errors
    ///
    /// `ValueError` for an unknown typecode, `TypeError` for what is not a character.
    pub(in crate::managers) fn new(typecode: &str) -> Result<Self, Exception> {
        let mut chars = typecode.chars();
        let (Some(typecode), None) = (chars.next(), chars.next()) else {
            return Err(Exception::type_error(
                "array() argument 1 must be a unicode character, not str",
            ));
        };
        let kind = match typecode {
            'b' => Kind::Signed(1),
            'B' => Kind::Unsigned(1),
            'h' => Kind::Signed(2),
            'H' => Kind::Unsigned(2),
            'i' => Kind::Signed(4),
            'I' => Kind::Unsigned(4),
            'l' | 'q' => Kind::Signed(8),
            'L' | 'Q' => Kind::Unsigned(8),
            'f' => Kind::Float,
            'd' => Kind::Double,
            'u' => Kind::Unicode,
            _ => {
                return Err(Exception::value_error(
                    "bad typecode (must be b, B, u, h, H, i, I, l, L, q, Q, f or d)",
                ));
            }
        };
        Ok(Self { typecode, kind })
    }

    pub(in crate::managers) fn typecode(self) -> char {
        self.typecode
    }

    fn size(self) -> usize {
        match self.kind {
            Kind::Signed(size) | Kind::Unsigned(size) => size,
            Kind::Float | Kind::Unicode => 4,
            Kind::Double => 8,
        }
    }

    /// The value as it is stored.
    ///
    /// # Errors
    ///
    /// `TypeError` for another type, `OverflowError` for a number that does not fit.
    pub(in crate::managers) fn store(
        self,
        value: Value,
    ) -> Result<Value, Exception> {
        match self.kind {
            Kind::Double => Ok(real(&value)?.into()),
            Kind::Float => Ok(f64::from(real(&value)? as f32).into()),
            Kind::Unicode => match &value {
                Value::Str(text) if text.chars().count() == 1 => Ok(value),
                _ => Err(Exception::type_error(
                    "array item must be a unicode character",
                )),
            },
            Kind::Signed(size) | Kind::Unsigned(size) => {
                if self.integer_fits(&value, size)? {
                    Ok(match value {
                        Value::Bool(value) => Value::Int(value.into()),
                        value => value,
                    })
                } else {
                    Err(Exception::overflow_error(format!(
                        "{} does not fit an array of type '{}'",
                        value.py_repr(),
                        self.typecode
                    )))
                }
            }
        }
    }

    fn integer_fits(self, value: &Value, size: usize) -> Result<bool, Exception> {
        let bits = 8 * size as u32;
        let number = match value {
            Value::Int(number) => *number,
            Value::Bool(number) => i64::from(*number),
            // Eight bytes and one for the sign.
            Value::BigInt(number) => {
                return Ok(matches!(self.kind, Kind::Unsigned(8))
                    && !number.is_negative()
                    && number.bytes().len() == 9
                    && number.bytes()[8] == 0);
            }
            other => {
                return Err(Exception::type_error(format!(
                    "'{}' object cannot be interpreted as an integer",
                    other.type_name()
                )));
            }
        };
        Ok(match self.kind {
            Kind::Unsigned(8) => number >= 0,
            Kind::Unsigned(_) => (0..1 << bits).contains(&number),
            // The highest bit and the sign above it agree.
            _ => matches!(number >> (bits - 1), 0 | -1),
        })
    }

    /// Appends a stored item's bytes, in this machine's order.
    fn write(self, item: &Value, out: &mut Vec<u8>) {
        let little = match (self.kind, item) {
            (Kind::Double, Value::Float(value)) => value.to_le_bytes().to_vec(),
            (Kind::Float, Value::Float(value)) => {
                (*value as f32).to_le_bytes().to_vec()
            }
            (Kind::Unicode, Value::Str(text)) => {
                let char = text.chars().next().unwrap_or_default();
                u32::from(char).to_le_bytes().to_vec()
            }
            (_, Value::Int(value)) => value.to_le_bytes()[..self.size()].to_vec(),
            (_, Value::BigInt(value)) => value.bytes()[..self.size()].to_vec(),
            _ => unreachable!("only what fits is stored"),
        };
        if cfg!(target_endian = "little") {
            out.extend(little);
        } else {
            out.extend(little.iter().rev());
        }
    }

    /// The items in bytes of this machine's order, if these are whole items.
    pub(in crate::managers) fn read(self, bytes: &[u8]) -> Option<Vec<Value>> {
        if !bytes.len().is_multiple_of(self.size()) {
            return None;
        }
        bytes
            .chunks(self.size())
            .map(|part| self.read_one(part))
            .collect()
    }

    fn read_one(self, part: &[u8]) -> Option<Value> {
        let mut little = [0; 9];
        let length = part.len();
        little[..length].copy_from_slice(part);
        if cfg!(target_endian = "big") {
            little[..length].reverse();
        }
        let four = || little[..4].try_into().ok();
        Some(match self.kind {
            Kind::Float => f64::from(f32::from_le_bytes(four()?)).into(),
            Kind::Double => f64::from_le_bytes(little[..8].try_into().ok()?).into(),
            Kind::Unicode => {
                let char = char::from_u32(u32::from_le_bytes(four()?))?;
                String::from(char).into()
            }
            Kind::Signed(size) => int_from_bytes(&little[..size]),
            // With a byte more, which says that it is not negative.
            Kind::Unsigned(size) => int_from_bytes(&little[..=size]),
        })
    }

    /// `array(typecode, bytes)`, as Python sends it.
    pub(in crate::managers) fn to_value(self, items: &[Value]) -> Value {
        let mut bytes = Vec::with_capacity(items.len() * self.size());
        for item in items {
            self.write(item, &mut bytes);
        }
        let typecode = String::from(self.typecode).into();
        Object::call("array", "array", vec![typecode, Value::Bytes(bytes.into())])
    }
}

fn real(value: &Value) -> Result<f64, Exception> {
    let number = match value {
        Value::Float(value) => *value,
        Value::Int(value) => *value as f64,
        Value::Bool(value) => f64::from(*value),
        Value::BigInt(value) => {
            let number = value.to_f64();
            if number.is_infinite() {
                return Err(Exception::overflow_error(
                    "int too large to convert to float",
                ));
            }
            number
        }
        Value::Object(object) if object.name() == "Decimal" => {
            let text = match object.args() {
                [Value::Str(text)] => text.as_str(),
                _ => "",
            };
            text.parse().unwrap_or(f64::NAN)
        }
        Value::Object(object) if object.name() == "Fraction" => {
            let number = number::to_f64(value)?.unwrap_or(f64::NAN);
            if number.is_infinite() {
                return Err(Exception::overflow_error(
                    "integer division result too large for a float",
                ));
            }
            number
        }
        other => {
            return Err(Exception::type_error(format!(
                "must be real number, not {}",
                other.type_name()
            )));
        }
    };
    Ok(number)
}

/// The element type of an `array` that was sent.
pub(in crate::managers) fn element(array: &Object) -> Option<Element> {
    match array.args() {
        [Value::Str(typecode), Value::Bytes(_)] if array.name() == "array" => {
            Element::new(typecode).ok()
        }
        _ => None,
    }
}

/// The bytes of an `array` that was sent.
pub(super) fn bytes(array: &Object) -> Option<&[u8]> {
    match array.args() {
        [_, Value::Bytes(bytes)] => Some(bytes),
        _ => None,
    }
}

/// The items of an `array` that was sent.
pub(in crate::managers) fn items(array: &Object) -> Option<Vec<Value>> {
    element(array)?.read(bytes(array)?)
}
