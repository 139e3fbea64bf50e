//! Proxies of the ready-made types, with methods of their own.

mod containers;
mod locks;
mod queue;

pub use containers::{ArrayProxy, DictProxy, ListProxy, NamespaceProxy, ValueProxy};
pub use locks::{
    BarrierProxy, ConditionProxy, EventProxy, HeldLock, LockProxy, SemaphoreProxy,
};
pub use queue::QueueProxy;

/// A proxy type: what [`Proxy`](super::Proxy) has in common with the others.
macro_rules! proxy_type {
    ($(#[$docs:meta])* $name:ident as $class:literal) => {
        $(#[$docs])*
        #[derive(Debug, Clone)]
        pub struct $name {
            proxy: Proxy,
        }

        impl From<Proxy> for $name {
            fn from(proxy: Proxy) -> Self {
                Self { proxy }
            }
        }

        /// The object stays where it is; what is sent is where to find it.
        impl From<&$name> for Value {
            fn from(proxy: &$name) -> Self {
                proxy.proxy.to_value($class)
            }
        }

        impl Deref for $name {
            type Target = Proxy;

            fn deref(&self) -> &Proxy {
                &self.proxy
            }
        }
    };
}
use proxy_type;
