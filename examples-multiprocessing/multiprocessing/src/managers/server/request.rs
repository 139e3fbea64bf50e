//! A client's request, as it is read from a message.

use crate::managers::pickle::{Exception, ProxyRef, Reader, Value};

/// `(target, method, args, kwargs)`
pub(super) struct Request {
    /// The object's name; `None` for the server's own functions.
    pub(super) target: Value,
    pub(super) method: String,
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Vec<(String, Value)>,
    /// How much memory it took to read.
    pub(super) memory: usize,
}

impl Request {
    /// Reads a request. `keep` gets every proxy in it.
    ///
    /// # Errors
    ///
    /// The text of the refusal, for the client.
    pub(super) fn read(
        message: &[u8],
        keep: &mut dyn FnMut(&mut ProxyRef),
    ) -> Result<Self, String> {
        let mut reader = Reader::new(message);
        let request = reader
            .read_with(keep)
            .map_err(|error| format!("UnpicklingError: {error}"))?;
        let mut request =
            Self::of_value(request).ok_or("ValueError: the request is malformed")?;
        request.memory = reader.memory_taken();
        Ok(request)
    }

    fn of_value(request: Value) -> Option<Self> {
        let Value::Tuple(parts) = request else {
            return None;
        };
        let [target, method, args, kwargs] =
            <[Value; 4]>::try_from(parts.into_inner()).ok()?;
        let Value::Str(method) = method else {
            return None;
        };
        let (Value::Tuple(args) | Value::List(args)) = args else {
            return None;
        };
        let Value::Dict(kwargs) = kwargs else {
            return None;
        };
        let kwargs = kwargs.into_inner().into_iter();
        let kwargs = kwargs.map(|(key, value)| match key {
            Value::Str(key) => Some((key.into_inner(), value)),
            _ => None,
        });
        Some(Self {
            target,
            method: method.into_inner(),
            args: args.into_inner(),
            kwargs: kwargs.collect::<Option<_>>()?,
            memory: 0,
        })
    }
}

/// The text of a refusal that Python would give as the traceback of this exception. Only
/// its last line is sent: Python's own shows the paths of the server's files.
pub(super) fn traceback(exception: &Exception) -> String {
    exception.to_string()
}

/// The refusal of a name that the server does not know.
pub(super) fn no_key(key: &str) -> String {
    traceback(&Exception::key_error(key.into()))
}
