//! Proxies of the ready-made types, with methods of their own.

mod containers;
mod locks;
mod queue;

pub use containers::{ArrayProxy, DictProxy, ListProxy, NamespaceProxy, ValueProxy};
pub use locks::{
    BarrierProxy, ConditionProxy, EventProxy, HeldLock, LockProxy, SemaphoreProxy,
};
pub use queue::QueueProxy;

/// A proxy type: what it has in common with the others. Its own methods call
/// `self.proxy`.
macro_rules! proxy_type {
    ($(#[$docs:meta])* $name:ident as $class:literal) => {
        $(#[$docs])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
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

        impl $name {
            /// The proxy without the methods of its type: to call any other method.
            #[must_use]
            pub fn proxy(&self) -> &Proxy {
                &self.proxy
            }

            /// A copy of the object, if it has a value.
            ///
            /// # Errors
            ///
            /// Those of [`Proxy::value`].
            pub fn value(&self) -> Result<Value, ManagerError> {
                self.proxy.value()
            }

            /// The object as Python's `print` shows it.
            ///
            /// # Errors
            ///
            /// Those of [`Proxy::repr`].
            pub fn repr(&self) -> Result<String, ManagerError> {
                self.proxy.repr()
            }
        }
    };
}
use proxy_type;
