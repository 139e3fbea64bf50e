//! A queue at a broker, as a program inspects it.

mod dead;
mod stats;

use redis::Value;

use super::BrokerError;
use super::address::QueueAddress;
use super::answer;
use super::scripts::Scripts;
use super::wire::Task;
pub use dead::DeadTask;
use dead::{dead_task, is_place};
pub use stats::{RunningTask, Stats, WorkerState};

/// A queue at a broker, for inspecting it and its dead tasks.
///
/// ```no_run
/// // Not run: it needs a broker.
/// use multiprocessing::broker::{BrokerError, Queue};
///
/// fn main() -> Result<(), BrokerError> {
///     let queue = Queue::open("redis://127.0.0.1:6379/0", "default")?;
///     println!("{} tasks wait", queue.stats()?.waiting);
///     for task in queue.dead(10)? {
///         println!("{} {}: {}", task.place, task.task, task.error);
///         queue.retry(&task.place)?;
///     }
///     Ok(())
/// }
/// ```
pub struct Queue {
    address: QueueAddress,
}

impl Queue {
    /// The queue of this name at the broker of this address. An empty name stands for
    /// `default`, which pools and workers use unless they name another.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Address`] if this is not the address of a broker.
    pub fn open(url: &str, name: &str) -> Result<Self, BrokerError> {
        let address = QueueAddress::new(url, name)?;
        Ok(Self { address })
    }

    fn run(
        &self,
        script: impl Fn(&Scripts) -> &redis::Script,
        args: &[&str],
    ) -> Result<Value, BrokerError> {
        let keys = [self.address.key("tasks")];
        let mut link = self.address.link();
        let answer = link.run(script, &keys, args);
        answer.map_err(|error| link.explain(&error))
    }

    fn call(&self, cmd: &redis::Cmd) -> Result<Value, BrokerError> {
        let mut link = self.address.link();
        let answer = link.call(cmd);
        answer.map_err(|error| link.explain(&error))
    }

    /// The state of the queue now.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Unreachable`], [`BrokerError::Refused`],
    /// [`BrokerError::OutOfDescriptors`] and [`BrokerError::ForeignKey`].
    pub fn stats(&self) -> Result<Stats, BrokerError> {
        let answer = self.run(|s| &s.stats, &[])?;
        Stats::read(answer).ok_or_else(|| BrokerError::Refused {
            at: self.address.at.to_string(),
            why: "its answer is not one of Redis".into(),
        })
    }

    /// The tasks that were given up, the oldest first, at most `most` of them.
    ///
    /// # Errors
    ///
    /// Those of [`stats`](Self::stats).
    pub fn dead(&self, most: usize) -> Result<Vec<DeadTask>, BrokerError> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.address.key("dead")).arg("-").arg("+");
        range.arg("COUNT").arg(most);
        let entries = answer::entries(self.call(&range)?);
        Ok(entries.into_iter().map(dead_task).collect())
    }

    /// Puts a dead task back into the queue, with its deliveries counted from zero. The
    /// task has already ended as lost for its sender, which gets no second outcome; the
    /// new outcome can be looked up if the result is kept. Returns whether there is such
    /// a task.
    ///
    /// # Errors
    ///
    /// [`BrokerError::NoTask`] if the entry there is no task, which stays among the dead;
    /// and those of [`stats`](Self::stats).
    pub fn retry(&self, place: &str) -> Result<bool, BrokerError> {
        if !is_place(place) {
            return Ok(false);
        }
        let mut find = redis::cmd("XRANGE");
        find.arg(self.address.key("dead")).arg(place).arg(place);
        let Some((_, fields)) = answer::entries(self.call(&find)?).pop() else {
            return Ok(false);
        };
        if Task::read(fields).is_none() {
            let place = place.to_owned();
            return Err(BrokerError::NoTask { place });
        }
        let retried = self.run(|s| &s.retry_dead, &[place])?;
        Ok(retried == Value::Int(1))
    }

    /// Removes a dead task. Returns whether there is such a task.
    ///
    /// # Errors
    ///
    /// Those of [`stats`](Self::stats).
    pub fn discard(&self, place: &str) -> Result<bool, BrokerError> {
        if !is_place(place) {
            return Ok(false);
        }
        let mut delete = redis::cmd("XDEL");
        delete.arg(self.address.key("dead")).arg(place);
        Ok(self.call(&delete)? == Value::Int(1))
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("at", &self.address.at)
            .finish_non_exhaustive()
    }
}
