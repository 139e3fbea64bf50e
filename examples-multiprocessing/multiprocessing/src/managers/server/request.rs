//! A client's request, as it is read from a message.

use super::objects::{Objects, keeper_of};
use crate::managers::pickle::{Exception, Reader, Value};

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
    /// Reads a request. Returns it and whether there are proxies in it.
    ///
    /// # Errors
    ///
    /// The text of the refusal, for the client.
    pub(super) fn read(message: &[u8]) -> Result<(Self, bool), String> {
        let mut reader = Reader::new(message);
        let request = reader
            .read()
            .map_err(|error| format!("UnpicklingError: {error}"))?;
        let mut request =
            Self::of_value(request).ok_or("ValueError: the request is malformed")?;
        request.memory = reader.memory_taken();
        Ok((request, reader.has_proxies()))
    }

    fn of_value(request: Value) -> Option<Self> {
        let Value::Tuple(parts) = request else {
            return None;
        };
        let [target, method, args, kwargs] = <[Value; 4]>::try_from(parts).ok()?;
        let Value::Str(method) = method else {
            return None;
        };
        let (Value::Tuple(args) | Value::List(args)) = args else {
            return None;
        };
        let Value::Dict(kwargs) = kwargs else {
            return None;
        };
        let kwargs = kwargs.into_iter().map(|(key, value)| match key {
            Value::Str(key) => Some((key, value)),
            _ => None,
        });
        Some(Self {
            target,
            method,
            args,
            kwargs: kwargs.collect::<Option<_>>()?,
            memory: 0,
        })
    }

    /// From now on the proxies in it keep this server's objects alive, wherever they are
    /// put.
    pub(super) fn keep_targets(&mut self, objects: &Objects) {
        let named = self.kwargs.iter_mut().map(|(_, value)| value);
        for value in self.args.iter_mut().chain(named) {
            value.for_each_proxy(&mut |proxy| {
                proxy.keeper = objects.get(&proxy.token.ident).map(keeper_of);
            });
        }
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
