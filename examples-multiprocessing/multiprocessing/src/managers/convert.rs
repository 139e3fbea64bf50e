//! Plain Rust values to and from [`Value`].

use std::fmt::{self, Write};

use super::pickle::{Exception, Value};

/// The Rust types that a [`Value`] can be converted to. The opposite is `From`.
///
/// ```
/// use multiprocessing::managers::{FromValue, Value};
///
/// let value = Value::from(vec![("a", 1), ("b", 2)]);
/// let pairs = Vec::<(String, i64)>::from_value(value).unwrap();
/// assert_eq!(pairs, [("a".into(), 1), ("b".into(), 2)]);
/// assert_eq!(Option::<bool>::from_value(Value::None), Ok(None));
/// assert_eq!(
///     u8::from_value(Value::from("a")).unwrap_err().to_string(),
///     r#""a" is not a u8"#
/// );
/// ```
pub trait FromValue: Sized {
    /// # Errors
    ///
    /// [`WrongType`] for a value of another type.
    fn from_value(value: Value) -> Result<Self, WrongType>;
}

/// A value that is not of the type that was asked for. The example is at
/// [`FromValue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongType {
    pub(super) wanted: &'static str,
    pub(super) got: String,
}

impl WrongType {
    pub(super) fn new(wanted: &'static str, value: &Value) -> Self {
        let mut got = Beginning::default();
        if write!(got, "{value:?}").is_err() {
            got.text.push('…');
        }
        Self {
            wanted,
            got: got.text,
        }
    }
}

/// The first characters of a text; the rest is not even formatted.
#[derive(Default)]
struct Beginning {
    text: String,
    length: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.length == 80 {
                return Err(fmt::Error);
            }
            self.length += 1;
            self.text.push(char);
        }
        Ok(())
    }
}

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not {}", self.got, self.wanted)
    }
}

impl std::error::Error for WrongType {}

impl From<WrongType> for Exception {
    fn from(wrong: WrongType) -> Self {
        Self::type_error(wrong.to_string())
    }
}

macro_rules! integers {
    ($($type:ident as $wanted:literal),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Int(value.into())
            }
        }
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self, WrongType> {
                integer(&value)
                    .and_then(|int| int.try_into().ok())
                    .ok_or_else(|| WrongType::new($wanted, &value))
            }
        }
    )*};
}
integers!(
    i8 as "an i8",
    i16 as "an i16",
    i32 as "an i32",
    i64 as "an i64",
    u8 as "a u8",
    u16 as "a u16",
    u32 as "a u32"
);

/// As in Python, `True` counts as 1.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Bool(value) => Some(i64::from(*value)),
        _ => None,
    }
}

/// A length; no message holds more items than an [`i64`] can count.
impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl FromValue for usize {
    fn from_value(value: Value) -> Result<Self, WrongType> {
        integer(&value)
            .and_then(|int| int.try_into().ok())
            .ok_or_else(|| WrongType::new("a usize", &value))
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::None
    }
}

/// For a method whose result is ignored, whatever it is.
impl FromValue for () {
    fn from_value(_: Value) -> Result<Self, WrongType> {
        Ok(())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::Bool(value) => Ok(value),
            other => Err(WrongType::new("a bool", &other)),
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl FromValue for f64 {
    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::Float(value) => Ok(value),
            other => integer(&other)
                .map(|int| int as f64)
                .ok_or_else(|| WrongType::new("an f64", &other)),
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value.into())
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::Str(value) => Ok(value.into_inner()),
            other => Err(WrongType::new("a String", &other)),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self, WrongType> {
        Ok(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::None => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// A list. Bytes are [`Value::Bytes`].
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect::<Vec<_>>().into())
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::List(items) | Value::Tuple(items) => {
                items.into_inner().into_iter().map(T::from_value).collect()
            }
            other => Err(WrongType::new("a list", &other)),
        }
    }
}

macro_rules! tuples {
    ($($name:literal: $($part:ident)+;)*) => {$(
        impl<$($part: Into<Value>),+> From<($($part,)+)> for Value {
            #[allow(non_snake_case, reason = "one name for a type and its value")]
            fn from(($($part,)+): ($($part,)+)) -> Self {
                Self::Tuple(vec![$($part.into()),+].into())
            }
        }
        impl<$($part: FromValue),+> FromValue for ($($part,)+) {
            #[allow(non_snake_case, reason = "one name for a type and its value")]
            fn from_value(value: Value) -> Result<Self, WrongType> {
                let parts = match value {
                    Value::Tuple(items) => <[Value; _]>::try_from(items.into_inner())
                        .map_err(|items| Value::Tuple(items.into())),
                    Value::List(items) => <[Value; _]>::try_from(items.into_inner())
                        .map_err(|items| Value::List(items.into())),
                    other => Err(other),
                };
                let [$($part),+] = parts
                    .map_err(|value| WrongType::new($name, &value))?;
                Ok(($($part::from_value($part)?,)+))
            }
        }
        impl<$($part: Into<Value>),+> IntoArgs for ($($part,)+) {
            #[allow(non_snake_case, reason = "one name for a type and its value")]
            fn into_args(self) -> Vec<Value> {
                let ($($part,)+) = self;
                vec![$($part.into()),+]
            }
        }
    )*};
}
tuples! {
    "a tuple of one": A;
    "a pair": A B;
    "a triple": A B C;
    "a tuple of four": A B C D;
}

/// The arguments of a call: a tuple of values.
///
/// ```
/// use multiprocessing::managers::{IntoArgs, Value};
///
/// assert_eq!(("a", 1).into_args(), [Value::from("a"), Value::from(1)]);
/// assert_eq!(().into_args(), []);
/// // Any number of them:
/// let many = vec![Value::from(1); 9];
/// assert_eq!(many.clone().into_args(), many);
/// ```
pub trait IntoArgs {
    /// The arguments in their order.
    fn into_args(self) -> Vec<Value>;
}

impl IntoArgs for () {
    fn into_args(self) -> Vec<Value> {
        Vec::new()
    }
}

impl IntoArgs for Vec<Value> {
    fn into_args(self) -> Vec<Value> {
        self
    }
}

/// The arguments of a call as a method gets them.
///
/// ```
/// use multiprocessing::managers::{Arguments, Value};
///
/// let args = Arguments::new(vec![1.into()], vec![("timeout".into(), 10.into())]);
/// let [block, timeout] = args.bind("get", ["block", "timeout"])?;
/// assert_eq!((block, timeout), (Some(Value::Int(1)), Some(Value::Int(10))));
///
/// let args = Arguments::new(vec![1.into(), 2.into()], vec![]);
/// assert!(args.parse::<(i64, i64, i64)>("add").is_err());
/// # Ok::<(), multiprocessing::managers::Exception>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    args: Vec<Value>,
    kwargs: Vec<(String, Value)>,
}

impl Arguments {
    /// These arguments by position, these by name.
    #[must_use]
    pub fn new(args: Vec<Value>, kwargs: Vec<(String, Value)>) -> Self {
        Self { args, kwargs }
    }

    /// The argument of each parameter, whether it was given by position or by name.
    /// `method` is for the errors.
    ///
    /// # Errors
    ///
    /// `TypeError`: one too many, one given twice, one of an unknown name.
    pub fn bind<const N: usize>(
        self,
        method: &str,
        names: [&str; N],
    ) -> Result<[Option<Value>; N], Exception> {
        let given = self.args.len();
        if given > N {
            return Err(Exception::type_error(format!(
                "{method}() takes at most {N} arguments ({given} given)"
            )));
        }
        let mut bound = [const { None }; N];
        for (place, value) in bound.iter_mut().zip(self.args) {
            *place = Some(value);
        }
        for (name, value) in self.kwargs {
            let Some(index) = names.iter().position(|&known| known == name) else {
                return Err(Exception::type_error(format!(
                    "{method}() got an unexpected keyword argument '{name}'"
                )));
            };
            if bound[index].replace(value).is_some() {
                return Err(Exception::type_error(format!(
                    "{method}() got multiple values for argument '{name}'"
                )));
            }
        }
        Ok(bound)
    }

    /// All parameters as one tuple of plain types. None may be given by name.
    ///
    /// # Errors
    ///
    /// `TypeError`.
    pub fn parse<T: FromArgs>(self, method: &str) -> Result<T, Exception> {
        self.refuse_names(method)?;
        T::from_args(method, self.args)
    }

    /// The arguments of a method whose last parameters have defaults, and that takes none
    /// by name.
    ///
    /// # Errors
    ///
    /// `TypeError`: fewer than `required`, too many, or one by name.
    pub(super) fn positional<const N: usize>(
        self,
        method: &str,
        required: usize,
    ) -> Result<[Option<Value>; N], Exception> {
        self.refuse_names(method)?;
        let given = self.args.len();
        if given < required {
            return Err(Exception::type_error(format!(
                "{method}() takes at least {required} arguments ({given} given)"
            )));
        }
        self.bind(method, [""; N])
    }

    fn refuse_names(&self, method: &str) -> Result<(), Exception> {
        match self.kwargs.first() {
            None => Ok(()),
            Some((name, _)) => Err(Exception::type_error(format!(
                "{method}() got an unexpected keyword argument '{name}'"
            ))),
        }
    }

    /// The named arguments of a call that takes any names.
    pub(super) fn into_parts(self) -> (Vec<Value>, Vec<(String, Value)>) {
        (self.args, self.kwargs)
    }
}

/// What a call's arguments can become: a tuple of up to four plain types.
///
/// The example is at [`Arguments`].
pub trait FromArgs: Sized {
    /// # Errors
    ///
    /// `TypeError` if there are more or fewer, or of other types.
    fn from_args(method: &str, args: Vec<Value>) -> Result<Self, Exception>;
}

macro_rules! from_args {
    ($($count:literal: $($part:ident)*;)*) => {$(
        impl<$($part: FromValue),*> FromArgs for ($($part,)*) {
            #[allow(non_snake_case, reason = "one name for a type and its value")]
            fn from_args(
                method: &str,
                args: Vec<Value>,
            ) -> Result<Self, Exception> {
                let [$($part),*] = <[Value; $count]>::try_from(args).map_err(
                    |args| wrong_count(method, $count, args.len())
                )?;
                Ok(($($part::from_value($part)?,)*))
            }
        }
    )*};
}
from_args! {
    0: ;
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
}

fn wrong_count(method: &str, wanted: usize, given: usize) -> Exception {
    Exception::type_error(format!(
        "{method}() takes {wanted} arguments ({given} given)"
    ))
}

/// The argument of a parameter that has no default.
pub(super) fn required<T: FromValue>(
    argument: Option<Value>,
    name: &str,
) -> Result<T, Exception> {
    let argument = argument.ok_or_else(|| {
        Exception::type_error(format!("missing a required argument: '{name}'"))
    })?;
    Ok(T::from_value(argument)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_long_value_shows_its_beginning() {
        let long = Value::from("ü".repeat(1000));
        let wrong = <(i64, i64)>::from_value(long).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            format!("\"{}… is not a pair", "ü".repeat(79))
        );
        let short = Value::from(vec!["ü".repeat(76)]);
        let wrong = <(i64, i64)>::from_value(short).unwrap_err();
        let text = format!("[\"{}\"] is not a pair", "ü".repeat(76));
        assert_eq!(wrong.to_string(), text);
    }
}
