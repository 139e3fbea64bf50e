//! Values as text: Rust's `Debug`, and Python's `repr`.

use std::cmp::Reverse;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::semantics::uuid;
use super::temporal::Temporal;
use super::value::{BigInt, Exception, Object, ProxyRef, Value};
use super::{MAX_MESSAGE, array, work};

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
        fmt::Display::fmt(self, f)
    }
}

/// The most decimal digits of an int that Python shows.
const MAX_DIGITS: usize = 4300;

impl fmt::Display for BigInt {
    /// Decimal, as in Python. Hexadecimal beyond 4300 digits, which Python refuses to
    /// show: to find decimal digits takes longer the more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = num_bigint::BigInt::from_signed_bytes_le(self.bytes());
        // A decimal digit is worth more than three bits.
        if self.bytes().len() * 8 / 3 <= MAX_DIGITS {
            write!(f, "{number}")
        } else {
            write!(f, "{number:#x}")
        }
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
            args => write!(f, ": {}", Value::Tuple(args.to_vec().into()).py_repr()),
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Value::Object(self.clone().into()).py_repr())
    }
}

impl fmt::Debug for ProxyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} object, typeid {:?}>", self.class, self.token.typeid)
    }
}

impl Value {
    /// What Python's `repr` says. A text that is too long to be sent, or takes too long,
    /// ends early.
    pub(crate) fn py_repr(&self) -> String {
        let mut out = Limited::default();
        if self.write_repr(&mut out).is_err() {
            out.text.push('…');
        }
        out.text
    }

    fn write_repr(&self, out: &mut Limited) -> fmt::Result {
        match self {
            Self::None => out.write_str("None"),
            Self::Bool(true) => out.write_str("True"),
            Self::Bool(false) => out.write_str("False"),
            Self::Int(value) => write!(out, "{value}"),
            Self::BigInt(value) => write!(out, "{value}"),
            Self::Float(value) => write_float(out, *value),
            Self::Str(value) => write_str(out, value),
            Self::Bytes(value) => write_bytes(out, value),
            Self::ByteArray(value) => {
                out.write_str("bytearray(")?;
                write_bytes(out, value)?;
                out.write_char(')')
            }
            Self::Tuple(items) => match items.as_slice() {
                [only] => {
                    out.write_char('(')?;
                    only.write_repr(out)?;
                    out.write_str(",)")
                }
                items => write_items(out, "(", items, ")"),
            },
            Self::List(items) => write_items(out, "[", items, "]"),
            Self::Dict(entries) => write_entries(out, entries.iter()),
            Self::Set(items) if items.is_empty() => out.write_str("set()"),
            Self::Set(items) => write_items(out, "{", items, "}"),
            Self::FrozenSet(items) if items.is_empty() => {
                out.write_str("frozenset()")
            }
            Self::FrozenSet(items) => write_items(out, "frozenset({", items, "})"),
            Self::Exception(exception) => {
                write_call(out, exception.name(), exception.args())
            }
            Self::Object(object) => write_object(out, object),
            Self::Token(token) => write!(
                out,
                "Token(typeid={}, address={}, id={})",
                Self::from(token.typeid.as_str()).py_repr(),
                Self::from(token.address.to_string()).py_repr(),
                Self::from(token.ident.as_str()).py_repr()
            ),
            Self::Proxy(proxy) => write_proxy(out, proxy),
        }
    }
}

/// A text that does not become longer than a message may be, nor takes longer than a
/// request may.
#[derive(Default)]
struct Limited {
    text: String,
}

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_too_long = self.text.len() + text.len() > MAX_MESSAGE;
        if is_too_long || work::step(text.len()).is_err() {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// Python shows the class, the type and where the proxy is in memory.
fn write_proxy(out: &mut Limited, proxy: &ProxyRef) -> fmt::Result {
    let typeid = &proxy.token.typeid;
    let mut place = DefaultHasher::new();
    proxy.token.ident.hash(&mut place);
    let place = place.finish() >> 16;
    let class = match proxy.class.as_str() {
        "AutoProxy" => format!("AutoProxy[{typeid}]"),
        class => class.into(),
    };
    write!(out, "<{class} object, typeid '{typeid}' at {place:#x}>")
}

fn write_object(out: &mut Limited, object: &Object) -> fmt::Result {
    if object.is_class() {
        return match object.module {
            "builtins" => write!(out, "<class '{}'>", object.name),
            module => write!(out, "<class '{module}.{}'>", object.name),
        };
    }
    if let Some(temporal) = Temporal::new(object) {
        return out.write_str(&temporal.repr());
    }
    match (object.name, object.args.as_slice()) {
        ("complex", [Value::Float(re), Value::Float(im)]) => {
            write_complex(out, *re, *im)
        }
        ("range", [begin, end, Value::Int(1)]) => {
            write_call(out, "range", &[begin.clone(), end.clone()])
        }
        ("Fraction", [Value::Str(text)]) => {
            let (numerator, denominator) =
                text.split_once('/').unwrap_or((text, "1"));
            write!(out, "Fraction({numerator}, {denominator})")
        }
        ("UUID", _) => write_uuid(out, object),
        ("array", [Value::Str(typecode), _]) => write_array(out, object, typecode),
        ("deque", args) => {
            write_items(out, "deque([", &object.items, "]")?;
            if let [_, maxlen @ Value::Int(_)] = args {
                out.write_str(", maxlen=")?;
                maxlen.write_repr(out)?;
            }
            out.write_char(')')
        }
        ("OrderedDict", _) if object.entries.is_empty() => {
            out.write_str("OrderedDict()")
        }
        ("OrderedDict", _) => {
            out.write_str("OrderedDict(")?;
            write_entries(out, object.entries.iter())?;
            out.write_char(')')
        }
        ("defaultdict", args) => {
            out.write_str("defaultdict(")?;
            args.first().unwrap_or(&Value::None).write_repr(out)?;
            out.write_str(", ")?;
            write_entries(out, object.entries.iter())?;
            out.write_char(')')
        }
        ("Counter", args) => write_counter(out, args),
        ("Namespace", _) => write_namespace(out, object),
        (name, args) => write_call(out, name, args),
    }
}

/// The most common first, as Python's.
fn write_counter(out: &mut Limited, args: &[Value]) -> fmt::Result {
    let counts = match args {
        [Value::Dict(counts)] if !counts.is_empty() => counts,
        _ => return out.write_str("Counter()"),
    };
    let mut counts: Vec<_> = counts.iter().collect();
    let plain = counts
        .iter()
        .all(|(_, count)| matches!(count, Value::Int(_)));
    if plain {
        counts.sort_by_key(|(_, count)| match count {
            Value::Int(count) => Reverse(*count),
            _ => Reverse(0),
        });
    }
    out.write_str("Counter(")?;
    write_entries(out, counts.into_iter())?;
    out.write_char(')')
}

fn write_namespace(out: &mut Limited, object: &Object) -> fmt::Result {
    let Some(Value::Dict(attributes)) = &object.state else {
        return out.write_str("Namespace()");
    };
    out.write_str("Namespace(")?;
    let shown = attributes.iter().filter_map(|(name, value)| match name {
        Value::Str(name) if !name.starts_with('_') => Some((name, value)),
        _ => None,
    });
    for (index, (name, value)) in shown.enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(out, "{comma}{name}=")?;
        value.write_repr(out)?;
    }
    out.write_char(')')
}

fn write_uuid(out: &mut Limited, object: &Object) -> fmt::Result {
    let mut bytes = [0; 16];
    match uuid(object) {
        Some(Value::Int(number)) => {
            bytes = i128::from(*number).to_be_bytes();
        }
        Some(Value::BigInt(number)) => {
            for (place, byte) in bytes.iter_mut().rev().zip(number.bytes()) {
                *place = *byte;
            }
        }
        _ => {}
    }
    out.write_str("UUID('")?;
    for (index, byte) in bytes.iter().enumerate() {
        let dash = if [4, 6, 8, 10].contains(&index) {
            "-"
        } else {
            ""
        };
        write!(out, "{dash}{byte:02x}")?;
    }
    out.write_str("')")
}

fn write_array(out: &mut Limited, object: &Object, typecode: &str) -> fmt::Result {
    write!(out, "array('{typecode}'")?;
    match array::items(object).unwrap_or_default() {
        items if items.is_empty() => {}
        items if typecode == "u" => {
            let text: String = items
                .iter()
                .filter_map(|item| match item {
                    Value::Str(char) => Some(char.as_str()),
                    _ => None,
                })
                .collect();
            out.write_str(", ")?;
            write_str(out, &text)?;
        }
        items => write_items(out, ", [", &items, "]")?,
    }
    out.write_char(')')
}

fn write_complex(out: &mut Limited, re: f64, im: f64) -> fmt::Result {
    let part = |value: f64| {
        let mut text = Limited::default();
        // Writing so little does not fail.
        write_float(&mut text, value).ok();
        let text = text.text;
        text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
    };
    let im_text = part(im);
    if re == 0.0 && re.is_sign_positive() {
        return write!(out, "{im_text}j");
    }
    let plus = if im_text.starts_with('-') { "" } else { "+" };
    write!(out, "({}{plus}{im_text}j)", part(re))
}

fn write_call(out: &mut Limited, name: &str, args: &[Value]) -> fmt::Result {
    out.write_str(name)?;
    write_items(out, "(", args, ")")
}

fn write_items(
    out: &mut Limited,
    open: &str,
    items: &[Value],
    close: &str,
) -> fmt::Result {
    out.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        item.write_repr(out)?;
    }
    out.write_str(close)
}

fn write_entries<'a>(
    out: &mut Limited,
    entries: impl Iterator<Item = &'a (Value, Value)>,
) -> fmt::Result {
    out.write_char('{')?;
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        key.write_repr(out)?;
        out.write_str(": ")?;
        value.write_repr(out)?;
    }
    out.write_char('}')
}

fn write_float(out: &mut Limited, value: f64) -> fmt::Result {
    if value.is_nan() {
        return out.write_str("nan");
    }
    // Python writes an exponent from these magnitudes on, with a sign and two digits.
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

fn write_str(out: &mut Limited, value: &str) -> fmt::Result {
    let quote = quote_for(value.contains('\''), value.contains('"'));
    out.write_char(quote)?;
    for char in value.chars() {
        match char {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            char if char == quote => {
                out.write_char('\\')?;
                out.write_char(char)?;
            }
            char if is_printable(char) => out.write_char(char)?,
            char => match char as u32 {
                code @ 0..0x100 => write!(out, "\\x{code:02x}")?,
                code @ 0x100..0x1_0000 => write!(out, "\\u{code:04x}")?,
                code => write!(out, "\\U{code:08x}")?,
            },
        }
    }
    out.write_char(quote)
}

/// Python's `str.isprintable`: std escapes the same categories, and at the beginning of
/// a text what would combine with the character before it.
fn is_printable(char: char) -> bool {
    if char.is_ascii() {
        return (' '..='~').contains(&char);
    }
    let mut buffer = [b'a', 0, 0, 0, 0];
    let length = 1 + char.encode_utf8(&mut buffer[1..]).len();
    let text = str::from_utf8(&buffer[..length]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(char)
}

fn write_bytes(out: &mut Limited, value: &[u8]) -> fmt::Result {
    let quote = quote_for(value.contains(&b'\''), value.contains(&b'"'));
    out.write_char('b')?;
    out.write_char(quote)?;
    for &byte in value {
        match byte {
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            byte if char::from(byte) == quote => {
                out.write_char('\\')?;
                out.write_char(quote)?;
            }
            0x20..=0x7e => out.write_char(char::from(byte))?,
            byte => write!(out, "\\x{byte:02x}")?,
        }
    }
    out.write_char(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3.11 pickles, in hexadecimal, and its `repr`. The text of an
    /// `OrderedDict` is that of 3.12 and later.
    const AS_IN_PYTHON: &[(&str, &str)] = &[
        (
            "80049526000000000000008c0b636f6c6c656374696f6e73948c056465717565949394294b0386945294284b014b02652e",
            "deque([1, 2], maxlen=3)",
        ),
        (
            "8004951c000000000000008c0b636f6c6c656374696f6e73948c0564657175659493942952942e",
            "deque([])",
        ),
        (
            "80049530000000000000008c0b636f6c6c656374696f6e73948c0b4f72646572656444696374949394295294288c0162944b018c0161944b02752e",
            "OrderedDict({'b': 1, 'a': 2})",
        ),
        (
            "80049541000000000000008c0b636f6c6c656374696f6e73948c0b64656661756c74646963749493948c086275696c74696e73948c046c697374949394859452948c0161945d944b0161732e",
            "defaultdict(<class 'list'>, {'a': [1]})",
        ),
        (
            "8004952f000000000000008c0b636f6c6c656374696f6e73948c07436f756e7465729493947d94288c0161944b028c0162944b0175859452942e",
            "Counter({'a': 2, 'b': 1})",
        ),
        (
            "80049526000000000000008c056172726179948c0561727261799493948c017594430861000000fc00000094869452942e",
            "array('u', 'aü')",
        ),
        (
            "80049526000000000000008c056172726179948c0561727261799493948c0151944308010000000000008094869452942e",
            "array('Q', [9223372036854775809])",
        ),
        (
            "80049522000000000000008c056172726179948c0561727261799493948c01669443040000003f94869452942e",
            "array('f', [0.5])",
        ),
        (
            "80049520000000000000008c086461746574696d65948c0464617465949394430407e4010294859452942e",
            "datetime.date(2020, 1, 2)",
        ),
        (
            "8004952a000000000000008c086461746574696d65948c086461746574696d65949394430a07e4010203040000000094859452942e",
            "datetime.datetime(2020, 1, 2, 3, 4)",
        ),
        (
            "80049561000000000000008c086461746574696d65948c086461746574696d65949394430a07e401020304050000069468008c0874696d657a6f6e6594939468008c0974696d6564656c74619493944affffffff4a280401004b00879452948c01589486945294869452942e",
            "datetime.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=66600), 'X'))",
        ),
        (
            "80049522000000000000008c086461746574696d65948c0474696d65949394430681020300000094859452942e",
            "datetime.time(1, 2, 3, fold=1)",
        ),
        (
            "80049527000000000000008c086461746574696d65948c0974696d6564656c74619493944affffffff4b054b07879452942e",
            "datetime.timedelta(days=-1, seconds=5, microseconds=7)",
        ),
        (
            "80049524000000000000008c086461746574696d65948c0974696d6564656c74619493944b004b004b00879452942e",
            "datetime.timedelta(0)",
        ),
        (
            "80049537000000000000008c086461746574696d65948c0874696d657a6f6e6594939468008c0974696d6564656c74619493944b004b004b0087945294859452942e",
            "datetime.timezone.utc",
        ),
        (
            "80049522000000000000008c07646563696d616c948c07446563696d616c9493948c04312e353094859452942e",
            "Decimal('1.50')",
        ),
        (
            "80049525000000000000008c096672616374696f6e73948c084672616374696f6e9493944affffffff4b02869452942e",
            "Fraction(-1, 2)",
        ),
        (
            "80049530000000000000008c0475756964948c04555549449493942981947d948c03696e74948a107856341278563412785634127856341273622e",
            "UUID('12345678-1234-5678-1234-567812345678')",
        ),
        (
            "80049520000000000000008c0475756964948c04555549449493942981947d948c03696e74944b0573622e",
            "UUID('00000000-0000-0000-0000-000000000005')",
        ),
        (
            "8004950c000000000000008a090000000000000000402e",
            "1180591620717411303424",
        ),
        (
            "8004950c000000000000008a090000000000000000c02e",
            "-1180591620717411303424",
        ),
        (
            "80049520000000000000008c086275696c74696e73948c0572616e67659493944b004b034b01879452942e",
            "range(0, 3)",
        ),
        (
            "80049523000000000000008c086275696c74696e73948c0572616e67659493944b054b014afeffffff879452942e",
            "range(5, 1, -2)",
        ),
        (
            "8004951f000000000000008c086275696c74696e73948c05736c6963659493944b014e4b02879452942e",
            "slice(1, None, 2)",
        ),
        (
            "8004952e000000000000008c086275696c74696e73948c07636f6d706c6578949394473ff0000000000000474000000000000000869452942e",
            "(1+2j)",
        ),
        (
            "8004952e000000000000008c086275696c74696e73948c07636f6d706c6578949394478000000000000000474000000000000000869452942e",
            "(-0+2j)",
        ),
        (
            "8004952e000000000000008c086275696c74696e73948c07636f6d706c6578949394470000000000000000474000000000000000869452942e",
            "2j",
        ),
        ("8004950a00000000000000474341c37937e080002e", "1e+16"),
        ("8004950a00000000000000473ee4f8b588e368f12e", "1e-05"),
        ("8004950a00000000000000473ff80000000000002e", "1.5"),
        ("80049508000000000000008c0469742773942e", "\"it's\""),
        (
            "8004950f000000000000008c0b000ae2808bc3bcf09f9880942e",
            "'\\x00\\n\\u200bü😀'",
        ),
        ("800495070000000000000043036127ff942e", "b\"a'\\xff\""),
        (
            "80049522000000000000008c086275696c74696e73948c0962797465617272617994939443017894859452942e",
            "bytearray(b'x')",
        ),
        ("8004950600000000000000284b0191942e", "frozenset({1})"),
        ("80048f942e", "set()"),
        ("80049505000000000000004b0185942e", "(1,)"),
        ("80049509000000000000007d948c016b944e732e", "{'k': None}"),
        (
            "80049523000000000000008c086275696c74696e73948c0a56616c75654572726f729493948c017894859452942e",
            "ValueError('x')",
        ),
        (
            "80049523000000000000008c086275696c74696e73948c084b65794572726f729493948c016b944b01869452942e",
            "KeyError('k', 1)",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn every_plain_value_is_shown_as_python_shows_it() {
        for (pickle, shown) in AS_IN_PYTHON {
            let value = Value::loads(&bytes(pickle)).unwrap();
            assert_eq!(value.py_repr(), *shown);
        }
    }

    #[test]
    fn every_plain_value_keeps_its_type_when_it_is_sent_on() {
        for (pickle, shown) in AS_IN_PYTHON {
            let value = Value::loads(&bytes(pickle)).unwrap();
            let again = Value::loads(&value.dumps().unwrap()).unwrap();
            assert_eq!(again, value, "{shown}");
        }
    }
}
