//! The objects of a server, and who still needs them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Weak};

use crate::managers::managed::Managed;
use crate::managers::pickle::{Keeper, ProxyRef, Value};
use crate::sys::random;

/// A managed object under its name.
pub(in crate::managers) struct ManagedObject {
    pub(super) ident: String,
    pub(super) typeid: String,
    pub(super) managed: Arc<dyn Managed>,
}

/// Keeps an object alive.
pub(super) type ObjectRef = Arc<ManagedObject>;

/// Keeps an object alive for as long as a container of the same server has a proxy of
/// it.
///
/// The object may be a container too, and so on for thousands: each would be dropped
/// inside the drop of the one before, for which no stack is large enough. So they are
/// dropped one after the other.
struct ProxyTarget(Option<ObjectRef>);

thread_local! {
    /// What the drop that is in progress in this thread has still to drop.
    static DROPPING: RefCell<Option<Vec<ObjectRef>>> = const { RefCell::new(None) };
}

/// What keeps this object alive in a proxy that a container holds.
pub(super) fn keeper_of(object: ObjectRef) -> Keeper {
    Keeper::new(ProxyTarget(Some(object)))
}

/// The object that a proxy stands for, if it lives in this server.
pub(in crate::managers) fn target_of(proxy: &ProxyRef) -> Option<&Arc<dyn Managed>> {
    let target = proxy.keeper.as_ref()?.get::<ProxyTarget>()?;
    target.0.as_ref().map(|object| &object.managed)
}

impl Drop for ProxyTarget {
    fn drop(&mut self) {
        let Some(object) = self.0.take() else {
            return;
        };
        // A thread that is about to end has no list any more; the object is dropped at
        // once there.
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
            // The panic hook has reported a panic in a user's drop; the others are
            // still dropped.
            panic::catch_unwind(AssertUnwindSafe(|| drop(object))).ok();
        }
    }
}

impl ManagedObject {
    pub(super) fn methods(&self) -> Value {
        let names = self.managed.methods().iter();
        Value::Tuple(names.map(|&name| name.into()).collect())
    }
}

#[derive(Default)]
pub(super) struct Objects {
    slots: HashMap<String, Slot>,
    /// Makes the names differ from those of every earlier server at the same address, so
    /// that a stale proxy finds nothing instead of another client's object.
    prefix: String,
    /// The number of objects ever created: a name is never used twice.
    created: u64,
}

struct Slot {
    /// The number of proxies that clients have reported.
    references: usize,
    /// Holds the object while there are any.
    object: Option<ObjectRef>,
    /// Finds the object while only a container keeps it alive.
    contained: Weak<ManagedObject>,
}

impl Slot {
    fn object(&self) -> Option<ObjectRef> {
        self.object.clone().or_else(|| self.contained.upgrade())
    }
}

/// No object of this name exists any more.
pub(super) struct NoSuchObject;

impl Objects {
    pub(super) fn new() -> Self {
        let random = random::bytes();
        let prefix = random[..8].iter().fold(String::new(), |mut prefix, byte| {
            // Writing to a String does not fail.
            write!(prefix, "{byte:02x}").ok();
            prefix
        });
        Self {
            prefix,
            ..Self::default()
        }
    }

    /// Names an object. It starts with one reference, which belongs to the client that
    /// receives the name.
    pub(super) fn add(
        &mut self,
        typeid: &str,
        managed: Arc<dyn Managed>,
    ) -> ObjectRef {
        self.created += 1;
        if self.created.is_multiple_of(256) {
            // By the count and not by `upgrade`: a reference taken here could become
            // the last one, and dropping it would run the object's code under the lock.
            self.slots
                .retain(|_, slot| slot.contained.strong_count() > 0);
        }
        let object = Arc::new(ManagedObject {
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

    pub(super) fn get(&self, ident: &str) -> Option<ObjectRef> {
        self.slots.get(ident)?.object()
    }

    pub(super) fn incref(&mut self, ident: &str) -> Result<(), NoSuchObject> {
        let slot = self.slots.get_mut(ident).ok_or(NoSuchObject)?;
        slot.object = Some(slot.object().ok_or(NoSuchObject)?);
        slot.references += 1;
        Ok(())
    }

    /// Takes a reference back. An object without references is returned: drop it once
    /// the table is unlocked, as it may own further objects.
    pub(super) fn decref(
        &mut self,
        ident: &str,
    ) -> Result<Option<ObjectRef>, NoSuchObject> {
        let slot = self.slots.get_mut(ident).ok_or(NoSuchObject)?;
        slot.references = slot.references.saturating_sub(1);
        Ok(if slot.references == 0 {
            slot.object.take()
        } else {
            None
        })
    }

    /// The number of objects that clients have proxies of.
    pub(super) fn count(&self) -> usize {
        self.referenced().count()
    }

    pub(super) fn referenced(&self) -> impl Iterator<Item = (&ObjectRef, usize)> {
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
    fn objects_that_are_gone_leave_no_slots() {
        let mut objects = Objects::new();
        for _ in 0..1000 {
            let object = objects.add("Holder", Arc::new(Holder(Value::None)));
            let last = objects.decref(&object.ident).ok().flatten();
            assert!(last.is_some(), "it had one reference");
        }
        assert!(objects.slots.len() <= 256, "{}", objects.slots.len());
    }

    #[test]
    fn a_long_chain_of_containers_is_dropped_on_a_small_stack() {
        let chain = || {
            (0..100_000).fold(Value::None, |held, _| {
                let object = ManagedObject {
                    ident: String::new(),
                    typeid: "Holder".into(),
                    managed: Arc::new(Holder(held)),
                };
                Value::Proxy(
                    ProxyRef {
                        token: Token {
                            typeid: "Holder".into(),
                            address: Address::Abstract(Vec::new()),
                            ident: String::new(),
                        },
                        class: "AutoProxy".into(),
                        exposed: None,
                        keeper: Some(keeper_of(Arc::new(object))),
                    }
                    .into(),
                )
            })
        };
        let thread = thread::Builder::new().stack_size(1 << 18);
        thread.spawn(move || drop(chain())).unwrap().join().unwrap();
    }
}
