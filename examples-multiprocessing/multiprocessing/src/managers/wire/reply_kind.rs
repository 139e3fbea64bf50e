//! The first half of every reply.

/// What kind of reply a server sends, by Python's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::managers) enum ReplyKind {
    /// The value that the function or method returned.
    Return,
    /// The exception that the method raised.
    Error,
    /// A new object: its methods and where it lives.
    Proxy,
    /// The server could not carry out the request; a text says why.
    Traceback,
    /// What was to be returned or raised cannot be sent; a text says why.
    Unserializable,
}

impl ReplyKind {
    const ALL: [Self; 5] = [
        Self::Return,
        Self::Error,
        Self::Proxy,
        Self::Traceback,
        Self::Unserializable,
    ];

    pub(in crate::managers) fn name(self) -> &'static str {
        match self {
            Self::Return => "#RETURN",
            Self::Error => "#ERROR",
            Self::Proxy => "#PROXY",
            Self::Traceback => "#TRACEBACK",
            Self::Unserializable => "#UNSERIALIZABLE",
        }
    }

    pub(in crate::managers) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
