//! Values as text: Rust's `Debug`, and Python's `repr` for Python's eyes.

use std::fmt::{self, Write};

use super::value::{BigInt, Exception, Object, ProxyRef, Value};

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::BigInt(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Str(value) => value.fmt(f),
            Self::Bytes(value) | Self::ByteArray(value) => {
                write!(f, "b\"{}\"", value.escape_ascii())
            }
            Self::Tuple(items) if items.is_empty() => f.write_str("()"),
            Self::Tuple(items) => call(f, "", items),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Dict(items) => f
                .debug_map()
                .entries(items.iter().map(|(key, value)| (key, value)))
                .finish(),
            Self::Set(items) | Self::FrozenSet(items) => {
                f.debug_set().entries(items).finish()
            }
            Self::Exception(exception) => exception.fmt(f),
            Self::Object(object) => object.fmt(f),
            Self::Token(token) => token.fmt(f),
            Self::Proxy(proxy) => proxy.fmt(f),
        }
    }
}

fn call(f: &mut fmt::Formatter<'_>, name: &str, args: &[Value]) -> fmt::Result {
    let mut tuple = f.debug_tuple(name);
    for arg in args {
        tuple.field(arg);
    }
    tuple.finish()
}

impl fmt::Debug for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl BigInt {
    /// Hexadecimal, which Python reads as well.
    fn hex(&self) -> String {
        let negative = self.is_negative();
        let mut bytes = self.bytes().to_vec();
        if negative {
            // The two's complement of a two's complement.
            let mut carry = true;
            for byte in &mut bytes {
                let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
                *byte = sum;
                carry = over;
            }
        }
        let digits = bytes.iter().rev().fold(String::new(), |mut digits, byte| {
            let _infallible = write!(digits, "{byte:02x}");
            digits
        });
        let sign = if negative { "-" } else { "" };
        format!("{sign}0x{}", digits.trim_start_matches('0'))
    }
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        call(f, self.name(), self.args())
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.args() {
            [] => Ok(()),
            [Value::Str(message)] if self.name() != "KeyError" => {
                write!(f, ": {message}")
            }
            [arg] => write!(f, ": {}", arg.py_repr()),
            args => write!(f, ": {}", Value::Tuple(args.to_vec()).py_repr()),
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        call(f, self.name, &self.args)
    }
}

impl fmt::Debug for ProxyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} object, typeid {:?}>", self.class, self.token.typeid)
    }
}

impl Value {
    /// What Python's `repr` says.
    pub(crate) fn py_repr(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _infallible = self.write_repr(&mut text);
        text
    }

    fn write_repr(&self, out: &mut String) -> fmt::Result {
        match self {
            Self::None => out.write_str("None"),
            Self::Bool(true) => out.write_str("True"),
            Self::Bool(false) => out.write_str("False"),
            Self::Int(value) => write!(out, "{value}"),
            Self::BigInt(value) => out.write_str(&value.hex()),
            Self::Float(value) => write_float(out, *value),
            Self::Str(value) => write_str(out, value),
            Self::Bytes(value) => write_bytes(out, value),
            Self::ByteArray(value) => {
                out.push_str("bytearray(");
                write_bytes(out, value)?;
                out.write_char(')')
            }
            Self::Tuple(items) => match items.as_slice() {
                [only] => {
                    out.push('(');
                    only.write_repr(out)?;
                    out.write_str(",)")
                }
                items => write_items(out, '(', items, ")"),
            },
            Self::List(items) => write_items(out, '[', items, "]"),
            Self::Dict(items) => {
                out.push('{');
                for (index, (key, value)) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    key.write_repr(out)?;
                    out.push_str(": ");
                    value.write_repr(out)?;
                }
                out.write_char('}')
            }
            Self::Set(items) if items.is_empty() => out.write_str("set()"),
            Self::Set(items) => write_items(out, '{', items, "}"),
            Self::FrozenSet(items) if items.is_empty() => {
                out.write_str("frozenset()")
            }
            Self::FrozenSet(items) => {
                out.push_str("frozenset(");
                write_items(out, '{', items, "})")
            }
            Self::Exception(exception) => {
                write_call(out, exception.name(), exception.args())
            }
            Self::Object(object) => write_call(out, object.name, &object.args),
            Self::Token(token) => write!(out, "{token:?}"),
            Self::Proxy(proxy) => write!(out, "{proxy:?}"),
        }
    }
}

fn write_call(out: &mut String, name: &str, args: &[Value]) -> fmt::Result {
    out.push_str(name);
    write_items(out, '(', args, ")")
}

fn write_items(
    out: &mut String,
    open: char,
    items: &[Value],
    close: &str,
) -> fmt::Result {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        item.write_repr(out)?;
    }
    out.write_str(close)
}

fn write_float(out: &mut String, value: f64) -> fmt::Result {
    if value.is_nan() {
        return out.write_str("nan");
    }
    // Where Python changes to the exponent, and how it writes it.
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) && value.is_finite() {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
    write!(out, "{value:?}")
}

fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn write_str(out: &mut String, value: &str) -> fmt::Result {
    let quote = quote_for(value.contains('\''), value.contains('"'));
    out.push(quote);
    for char in value.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char == quote => {
                out.push('\\');
                out.push(char);
            }
            char if char.is_control() && (char as u32) < 0x100 => {
                write!(out, "\\x{:02x}", char as u32)?;
            }
            char => out.push(char),
        }
    }
    out.write_char(quote)
}

fn write_bytes(out: &mut String, value: &[u8]) -> fmt::Result {
    let quote = quote_for(value.contains(&b'\''), value.contains(&b'"'));
    out.push('b');
    out.push(quote);
    for &byte in value {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if char::from(byte) == quote => {
                out.push('\\');
                out.push(quote);
            }
            0x20..=0x7e => out.push(char::from(byte)),
            byte => write!(out, "\\x{byte:02x}")?,
        }
    }
    out.write_char(quote)
}
