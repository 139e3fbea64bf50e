//! The proxies of lists, dicts and values.

use super::proxy_type;
use crate::managers::convert::{FromValue, WrongType};
use crate::managers::pickle::{Object, array};
use crate::managers::{ManagerError, Proxy, Value};

proxy_type! {
    /// A list in a manager's server: Python's `manager.list()`. Its items may be of
    /// different types; its [`value`](Proxy::value) is a copy of all.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let l = manager.list(0..3)?; // of a manager that is started or connected
    /// l.append("three")?;
    /// assert_eq!(l.get::<i64>(-2)?, 2);
    /// assert_eq!(format!("{:?}", l.value()?), r#"[0, 1, 2, "three"]"#);
    /// # drop(l);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    ListProxy as "ListProxy"
}

impl ListProxy {
    /// The item of this index, which counts from the end if it is negative.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] beyond the ends.
    pub fn get<T: FromValue>(&self, index: i64) -> Result<T, ManagerError> {
        self.proxy.call("__getitem__", (index,))
    }

    /// The items from one index to before another: `l[start:stop]`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn slice<T: FromValue>(
        &self,
        start: Option<i64>,
        stop: Option<i64>,
    ) -> Result<Vec<T>, ManagerError> {
        let parts = vec![start.into(), stop.into(), Value::None];
        self.proxy
            .call("__getitem__", (Object::call("builtins", "slice", parts),))
    }

    /// Replaces the item of this index.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] beyond the ends.
    pub fn set(
        &self,
        index: i64,
        value: impl Into<Value>,
    ) -> Result<(), ManagerError> {
        self.proxy.call("__setitem__", (index, value))
    }

    /// Removes the item of this index: Python's `del`.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] beyond the ends.
    pub fn delete(&self, index: i64) -> Result<(), ManagerError> {
        self.proxy.call("__delitem__", (index,))
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn append(&self, value: impl Into<Value>) -> Result<(), ManagerError> {
        self.proxy.call("append", (value,))
    }

    /// Adds items at the end, in one call.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn extend<T: Into<Value>>(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<(), ManagerError> {
        let items: Vec<_> = items.into_iter().map(Into::into).collect();
        self.proxy.call("extend", (Value::List(items.into()),))
    }

    /// Inserts an item before this index.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn insert(
        &self,
        index: i64,
        value: impl Into<Value>,
    ) -> Result<(), ManagerError> {
        self.proxy.call("insert", (index, value))
    }

    /// Removes the last item and returns it.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if there is none.
    pub fn pop<T: FromValue>(&self) -> Result<T, ManagerError> {
        self.proxy.call("pop", ())
    }

    /// Removes the first item that equals this.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if there is none.
    pub fn remove(&self, value: impl Into<Value>) -> Result<(), ManagerError> {
        self.proxy.call("remove", (value,))
    }

    /// The index of the first item that equals this.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if there is none.
    pub fn index(&self, value: impl Into<Value>) -> Result<usize, ManagerError> {
        self.proxy.call("index", (value,))
    }

    /// The number of items that equal this.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn count(&self, value: impl Into<Value>) -> Result<usize, ManagerError> {
        self.proxy.call("count", (value,))
    }

    /// Whether an item equals this.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn contains(&self, value: impl Into<Value>) -> Result<bool, ManagerError> {
        self.proxy.call("__contains__", (value,))
    }

    /// The number of items.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn len(&self) -> Result<usize, ManagerError> {
        self.proxy.call("__len__", ())
    }

    /// Whether it is empty.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        self.len().map(|len| len == 0)
    }

    /// Puts the items in ascending order.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] for items that do not compare.
    pub fn sort(&self) -> Result<(), ManagerError> {
        self.proxy.call("sort", ())
    }

    /// Puts the items in the opposite order.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn reverse(&self) -> Result<(), ManagerError> {
        self.proxy.call("reverse", ())
    }
}

proxy_type! {
    /// A dict in a manager's server: Python's `manager.dict()`. Its keys and values may
    /// be of different types; its [`value`](Proxy::value) is a copy of all.
    ///
    /// The example is at [the module](crate::managers).
    DictProxy as "DictProxy"
}

impl DictProxy {
    /// The value of this key, or `None`: ask for an `Option`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn get<T: FromValue>(
        &self,
        key: impl Into<Value>,
    ) -> Result<T, ManagerError> {
        self.proxy.call("get", (key,))
    }

    /// Sets the value of this key.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] for a key that cannot be one.
    pub fn set(
        &self,
        key: impl Into<Value>,
        value: impl Into<Value>,
    ) -> Result<(), ManagerError> {
        self.proxy.call("__setitem__", (key, value))
    }

    /// Removes this key: Python's `del`.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if there is none.
    pub fn delete(&self, key: impl Into<Value>) -> Result<(), ManagerError> {
        self.proxy.call("__delitem__", (key,))
    }

    /// Removes this key and returns its value.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if there is none.
    pub fn pop<T: FromValue>(
        &self,
        key: impl Into<Value>,
    ) -> Result<T, ManagerError> {
        self.proxy.call("pop", (key,))
    }

    /// The value of this key; if there is none, it is set to the default.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn setdefault<T: FromValue>(
        &self,
        key: impl Into<Value>,
        default: impl Into<Value>,
    ) -> Result<T, ManagerError> {
        self.proxy.call("setdefault", (key, default))
    }

    /// Sets several keys in one call.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn update<K: Into<Value>, V: Into<Value>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ManagerError> {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (key.into(), value.into()));
        self.proxy.call("update", (Value::Dict(entries.collect()),))
    }

    /// Whether this key is there.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn contains(&self, key: impl Into<Value>) -> Result<bool, ManagerError> {
        self.proxy.call("__contains__", (key,))
    }

    /// Its keys, in the order in which they were added.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn keys<T: FromValue>(&self) -> Result<Vec<T>, ManagerError> {
        self.proxy.call("keys", ())
    }

    /// Its values in the order of the keys.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn values<T: FromValue>(&self) -> Result<Vec<T>, ManagerError> {
        self.proxy.call("values", ())
    }

    /// Its keys and values.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn items<K: FromValue, V: FromValue>(
        &self,
    ) -> Result<Vec<(K, V)>, ManagerError> {
        self.proxy.call("items", ())
    }

    /// The number of keys.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn len(&self) -> Result<usize, ManagerError> {
        self.proxy.call("__len__", ())
    }

    /// Whether it is empty.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        self.len().map(|len| len == 0)
    }

    /// Removes all keys.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.proxy.call("clear", ())
    }
}

proxy_type! {
    /// An object with whatever attributes are set on it: Python's
    /// `manager.Namespace()`.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let ns = manager.namespace()?; // of a manager that is started or connected
    /// ns.set("x", 10)?;
    /// assert_eq!(ns.get::<i64>("x")?, 10);
    /// assert_eq!(ns.repr()?, "Namespace(x=10)");
    /// # drop(ns);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    NamespaceProxy as "NamespaceProxy"
}

impl NamespaceProxy {
    /// The attribute of this name.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if there is none.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, ManagerError> {
        self.proxy.call("__getattribute__", (name,))
    }

    /// Sets the attribute of this name.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn set(
        &self,
        name: &str,
        value: impl Into<Value>,
    ) -> Result<(), ManagerError> {
        self.proxy.call("__setattr__", (name, value))
    }

    /// Removes the attribute of this name.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if there is none.
    pub fn delete(&self, name: &str) -> Result<(), ManagerError> {
        self.proxy.call("__delattr__", (name,))
    }
}

proxy_type! {
    /// One value: Python's `manager.Value()`. Adding to it takes a `get` and a `set`, and
    /// another client may change it in between: use a lock.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let v = manager.value('i', 10)?; // of a manager that is started or connected
    /// v.set(11)?;
    /// assert_eq!(v.get::<i32>()?, 11);
    /// # drop(v);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    ValueProxy as "ValueProxy"
}

impl ValueProxy {
    /// The value.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn get<T: FromValue>(&self) -> Result<T, ManagerError> {
        self.proxy.call("get", ())
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn set(&self, value: impl Into<Value>) -> Result<(), ManagerError> {
        self.proxy.call("set", (value,))
    }
}

proxy_type! {
    /// A fixed number of numbers: Python's `manager.Array()`.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let a = manager.array('i', 0..3)?; // of a manager that is started or connected
    /// a.set(1, 42)?;
    /// assert_eq!(a.to_vec::<i32>()?, [0, 42, 2]);
    /// # drop(a);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    ArrayProxy as "ArrayProxy"
}

impl ArrayProxy {
    /// The number of this index, which counts from the end if it is negative.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] beyond the ends.
    pub fn get<T: FromValue>(&self, index: i64) -> Result<T, ManagerError> {
        self.proxy.call("__getitem__", (index,))
    }

    /// Replaces the number of this index.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] beyond the ends, and for a number that does not fit.
    pub fn set(
        &self,
        index: i64,
        value: impl Into<Value>,
    ) -> Result<(), ManagerError> {
        self.proxy.call("__setitem__", (index, value))
    }

    /// All numbers.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn to_vec<T: FromValue>(&self) -> Result<Vec<T>, ManagerError> {
        let value = self.proxy.value()?;
        let items = match &value {
            Value::Object(object) => array::items(object),
            _ => None,
        };
        let items = items.ok_or_else(|| WrongType::new("an array", &value))?;
        Ok(Vec::from_value(Value::List(items.into()))?)
    }

    /// The number of items.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn len(&self) -> Result<usize, ManagerError> {
        self.proxy.call("__len__", ())
    }

    /// Whether it is empty.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        self.len().map(|len| len == 0)
    }
}
