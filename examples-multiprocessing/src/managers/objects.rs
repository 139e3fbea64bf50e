//! The objects of a server, and who still needs them.

use std::collections::HashMap;
use std::fmt::Write;
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

/// Holds an object for as long as a container of the same server has a proxy of it.
pub(crate) type Kept = Arc<Object>;

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
            self.slots.retain(|_, slot| slot.object().is_some());
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
