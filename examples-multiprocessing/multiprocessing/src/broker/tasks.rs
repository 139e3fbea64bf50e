//! The functions that can be called through a broker, by name.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire;
use super::{BrokerError, WorkerBuilder};
use crate::pool::catch;
use crate::{PoolFn, TaskError};

/// The functions that programs on both sides of a broker register, each by a name. The
/// name is the contract between builds, hosts and languages: nothing else of a function
/// crosses.
///
/// ```
/// use multiprocessing::broker::Tasks;
///
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// fn tasks() -> Tasks {
///     Tasks::new().add("square", square).add("add", add)
/// }
/// assert_eq!(tasks().names().collect::<Vec<_>>(), ["add", "square"]);
/// ```
///
/// A function is a `fn` item, or a closure that captures nothing and whose arguments
/// have their types written down, of up to six arguments. Arguments and results are
/// values that serde can write as JSON: the keys of a map must be texts or numbers, and
/// a number that is infinite or not a number arrives as `null`.
#[derive(Clone, Default)]
pub struct Tasks {
    by_name: BTreeMap<String, Run>,
    /// The name of each function, by its type: every `fn` item and every closure has a
    /// type of its own.
    names: HashMap<TypeId, String>,
    /// The first name that was given twice.
    taken: Option<String>,
}

/// Runs a task: from its arguments to its value, both as JSON.
type Run = Arc<dyn Fn(&str) -> Result<String, TaskError> + Send + Sync>;

impl Tasks {
    /// An empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function. If its name is taken already, the pool or the worker refuses to
    /// start.
    #[must_use]
    pub fn add<F, A>(mut self, name: &str, function: F) -> Self
    where
        F: PoolFn<A> + Sync,
        A: DeserializeOwned,
        F::Output: Serialize,
    {
        const {
            assert!(
                size_of::<F>() == 0,
                "a pool can only run a function that captures nothing"
            );
        }
        let run = move |args: &str| {
            catch(|| {
                let args = wire::read_args(args)?;
                wire::write_value(&function.call(args))
            })
        };
        let before = self.by_name.insert(name.to_owned(), Arc::new(run));
        if before.is_some() && self.taken.is_none() {
            self.taken = Some(name.to_owned());
        }
        self.names
            .entry(TypeId::of::<F>())
            .or_insert_with(|| name.to_owned());
        self
    }

    /// A worker that takes these tasks from the broker at this address, such as
    /// `redis://host:6379/0`. It is started by [`serve`](super::WorkerBuilder::serve).
    ///
    /// # Errors
    ///
    /// [`BrokerError::Address`], [`BrokerError::NoTasks`] and
    /// [`BrokerError::NameTaken`].
    pub fn worker(self, url: &str) -> Result<WorkerBuilder, BrokerError> {
        WorkerBuilder::new(self.checked()?, url)
    }

    /// The names of the functions, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(super) fn checked(self) -> Result<Self, BrokerError> {
        match self.taken {
            Some(name) => Err(BrokerError::NameTaken { name }),
            None if self.by_name.is_empty() => Err(BrokerError::NoTasks),
            None => Ok(self),
        }
    }

    /// The name of the function of this type.
    pub(super) fn name_of(&self, function: TypeId) -> Option<&str> {
        self.names.get(&function).map(String::as_str)
    }

    /// Runs the function of this name on `args`: once, or if `many`, once for each element
    /// of a list of arguments.
    pub(super) fn run(
        &self,
        name: &str,
        args: &str,
        many: bool,
    ) -> Result<String, TaskError> {
        let Some(run) = self.by_name.get(name) else {
            return Err(TaskError::Unregistered(name.to_owned()));
        };
        if !many {
            return run(args);
        }
        let each = wire::read_list(args)?;
        Ok(wire::write_list(
            each.into_iter().map(|args| run(args.get())),
        ))
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_name.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    fn square(x: u64) -> u64 {
        x * x
    }

    fn divide(x: u64, y: u64) -> u64 {
        assert!(y != 0, "not by zero");
        x / y
    }

    fn nothing() {}

    fn tasks() -> Tasks {
        // As in a pool's workers. A process that asks for its id before there is a registry
        // never gets a place there.
        registry::ensure_registry().unwrap();
        Tasks::new()
            .add("square", square)
            .add("divide", divide)
            .add("nothing", nothing)
    }

    #[test]
    fn a_function_is_found_by_its_type_and_run_by_its_name() {
        fn name_of<F: 'static>(_: F) -> Option<String> {
            tasks().name_of(TypeId::of::<F>()).map(str::to_owned)
        }
        assert_eq!(name_of(square).as_deref(), Some("square"));
        assert_eq!(name_of(divide).as_deref(), Some("divide"));
        assert_eq!(name_of(tasks), None);
        assert_eq!(tasks().run("divide", "[9,3]", false), Ok("3".into()));
        assert_eq!(tasks().run("nothing", "[]", false), Ok("null".into()));
    }

    #[test]
    fn a_failure_in_a_chunk_costs_no_other_task_of_it() {
        let chunk = tasks()
            .run("divide", "[[8,2],[1,0],[7],[6,3]]", true)
            .unwrap();
        let values: Vec<Result<u64, TaskError>> =
            wire::read_values(chunk.as_bytes());
        assert_eq!(values[0], Ok(4));
        assert!(matches!(
            &values[1],
            Err(TaskError::Panicked { message, .. }) if message == "not by zero"
        ));
        assert!(matches!(values[2], Err(TaskError::Argument(_))));
        assert_eq!(values[3], Ok(2));
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let twice = tasks().add("square", nothing).checked();
        assert!(
            matches!(twice, Err(BrokerError::NameTaken { name }) if name == "square")
        );
        assert!(matches!(Tasks::new().checked(), Err(BrokerError::NoTasks)));
    }

    #[test]
    fn malformed_arguments_are_an_error_and_not_a_panic() {
        let deep = "[".repeat(100_000);
        for args in ["", "{}", "[1", "[\"x\"]", "[1,2]", "null", &deep] {
            let ended = tasks().run("square", args, false);
            assert!(matches!(ended, Err(TaskError::Argument(_))), "{args:.20}");
            let ended = tasks().run("square", args, true);
            assert!(
                !matches!(ended, Ok(ref values) if values.contains("\"ok\"")),
                "{args:.20}: {ended:?}"
            );
        }
    }
}
