//! The objects of a server, and who still needs them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Weak};

use super::managed::Managed;
use super::pickle::Value;
use crate::sys::random;

/// A managed object under its name.
pub(crate) struct Object {
    pub(super) ident: String,
    pub(super) typeid: String,
    pub(super) managed: Arc<dyn Managed>,
}

/// Holds an object.
pub(crate) type Kept = Arc<Object>;

/// Holds an object for as long as a container of the same server has a proxy of it.
///
/// The object may be a container too, and so on for thousands: each would be dropped
/// inside of the one before, which no stack has room for. So they are dropped one after
/// the other.
#[derive(Clone)]
pub(crate) struct Referent(Option<Kept>);

thread_local! {
    /// What is left to be dropped by the drop that is in progress in this thread.
    static DROPPING: RefCell<Option<Vec<Kept>>> = const { RefCell::new(None) };
}

impl Referent {
    pub(super) fn new(object: Kept) -> Self {
        Self(Some(object))
    }

    pub(super) fn managed(&self) -> &Arc<dyn Managed> {
        match &self.0 {
            Some(object) => &object.managed,
            None => unreachable!("only a drop takes it away"),
        }
    }
}

impl Drop for Referent {
    fn drop(&mut self) {
        let Some(object) = self.0.take() else {
            return;
        };
        // In a thread that is about to end there is no list, and it is dropped at once.
        let is_outermost = DROPPING.try_with(|dropping| {
            let mut dropping = dropping.borrow_mut();
            let is_outermost = dropping.is_none();
            dropping.get_or_insert_default().push(object);
            is_outermost
        });
        if is_outermost != Ok(true) {
            return;
        }
        let next = || {
            DROPPING.with_borrow_mut(|dropping| {
                let next = dropping.as_mut().and_then(Vec::pop);
                if next.is_none() {
                    *dropping = None;
                }
                next
            })
        };
        while let Some(object) = next() {
            // A panic in a drop of the user's has been told; the others still go.
            let _told = panic::catch_unwind(AssertUnwindSafe(|| drop(object)));
        }
    }
}

impl Object {
    pub(super) fn methods(&self) -> Value {
        let names = self.managed.methods().iter();
        Value::Tuple(names.map(|&name| name.into()).collect())
    }
}

#[derive(Default)]
pub(super) struct Objects {
    slots: HashMap<String, Slot>,
    /// Makes the names differ from those of any server before at the same address, so
    /// that a proxy of that one finds nothing instead of somebody else's object.
    prefix: String,
    /// How many objects there ever were: a name is never used twice.
    created: u64,
}

struct Slot {
    /// How many proxies clients say they have.
    references: usize,
    /// Holds the object while there are any.
    object: Option<Kept>,
    /// Finds it while only a container holds it.
    contained: Weak<Object>,
}

impl Slot {
    fn object(&self) -> Option<Kept> {
        self.object.clone().or_else(|| self.contained.upgrade())
    }
}

/// Nobody holds an object of this name.
pub(super) struct NoSuchObject;

impl Objects {
    pub(super) fn new() -> Self {
        let random = random::bytes();
        let prefix = random[..8].iter().fold(String::new(), |mut prefix, byte| {
            let _infallible = write!(prefix, "{byte:02x}");
            prefix
        });
        Self {
            prefix,
            ..Self::default()
        }
    }

    /// Names an object. It has one reference, which whoever is told the name owns.
    pub(super) fn add(&mut self, typeid: &str, managed: Arc<dyn Managed>) -> Kept {
        self.created += 1;
        if self.created.is_multiple_of(256) {
            // By the count: who holds an object can come to be the last that does, and
            // to drop it here would call into it while the table is locked.
            self.slots
                .retain(|_, slot| slot.contained.strong_count() > 0);
        }
        let object = Arc::new(Object {
            ident: format!("{}.{}", self.prefix, self.created),
            typeid: typeid.into(),
            managed,
        });
        let slot = Slot {
            references: 1,
            object: Some(Arc::clone(&object)),
            contained: Arc::downgrade(&object),
        };
        self.slots.insert(object.ident.clone(), slot);
        object
    }

    pub(super) fn get(&self, ident: &str) -> Option<Kept> {
        self.slots.get(ident)?.object()
    }

    pub(super) fn incref(&mut self, ident: &str) -> Result<(), NoSuchObject> {
        let slot = self.slots.get_mut(ident).ok_or(NoSuchObject)?;
        slot.object = Some(slot.object().ok_or(NoSuchObject)?);
        slot.references += 1;
        Ok(())
    }

    /// Takes a reference back. What is no longer held is given to the caller, who drops
    /// it once the table is free: it may hold further objects.
    pub(super) fn decref(
        &mut self,
        ident: &str,
    ) -> Result<Option<Kept>, NoSuchObject> {
        let slot = self.slots.get_mut(ident).ok_or(NoSuchObject)?;
        slot.references = slot.references.saturating_sub(1);
        Ok(if slot.references == 0 {
            slot.object.take()
        } else {
            None
        })
    }

    /// How many objects clients have proxies of.
    pub(super) fn count(&self) -> usize {
        self.referenced().count()
    }

    pub(super) fn referenced(&self) -> impl Iterator<Item = (&Kept, usize)> {
        self.slots.values().filter_map(|slot| {
            slot.object.as_ref().map(|object| (object, slot.references))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::managers::Address;
    use crate::managers::convert::Arguments;
    use crate::managers::managed::{Caller, Reply, no_method};
    use crate::managers::pickle::{Exception, ProxyRef, Token};

    /// A container of one value.
    struct Holder(#[expect(dead_code, reason = "it is only held")] Value);

    impl Managed for Holder {
        fn methods(&self) -> &[&'static str] {
            &[]
        }

        fn call(
            self: Arc<Self>,
            method: &str,
            _args: Arguments,
            _caller: &Caller,
        ) -> Result<Reply, Exception> {
            Err(no_method(method))
        }
    }

    #[test]
    fn a_long_chain_of_containers_is_dropped_on_a_small_stack() {
        let chain = || {
            (0..100_000).fold(Value::None, |held, _| {
                let object = Object {
                    ident: String::new(),
                    typeid: "Holder".into(),
                    managed: Arc::new(Holder(held)),
                };
                Value::Proxy(Box::new(ProxyRef {
                    token: Token {
                        typeid: "Holder".into(),
                        address: Address::Abstract(Vec::new()),
                        ident: String::new(),
                    },
                    class: "AutoProxy".into(),
                    exposed: None,
                    referent: Some(Referent::new(Arc::new(object))),
                }))
            })
        };
        let thread = thread::Builder::new().stack_size(1 << 18);
        thread.spawn(move || drop(chain())).unwrap().join().unwrap();
    }
}
