//! The functions that a pool can run, and how a worker runs them.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::TaskError;
use super::message::{ChunkArguments, ChunkValues, append_value};
use super::panic::catch;
use crate::codec;
use crate::sys::routine::{Routine, Runner};

/// A function that a pool can run, with its arguments as a tuple: a `fn` item or a
/// closure that captures nothing, of up to six arguments.
///
/// The function goes to the workers as itself, since they are copies of this program.
/// What a closure captures would not, so a closure that captures does not compile:
///
/// ```compile_fail
/// # use multiprocessing::Pool;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = Pool::new(1)?;
/// let captured = 7;
/// pool.map(move |x: i32| x + captured, 0..10)?;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail
/// # use multiprocessing::Pool;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = Pool::new(1)?;
/// # let captured = 7;
/// pool.apply(move |x: i32| x + captured, (1,))?;
/// # Ok(())
/// # }
/// ```
///
/// The compiler says so when it makes the call (`cargo build`, not `cargo check`), in the
/// words of an assertion that names the ways out. There are three. What changes from task
/// to task, or is small, becomes another argument; what is the same for all tasks and costs
/// much to send goes to each worker once, by the pool's
/// [`initializer`](crate::PoolBuilder::initializer); and what is known beforehand is a
/// `static` or `const`.
///
/// ```no_run
/// # // Not run: a test has threads.
/// # use multiprocessing::Pool;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = Pool::new(1)?;
/// let captured = 7;
/// pool.starmap(|x: i32, y: i32| x + y, (0..10).map(|x| (x, captured)))?;
///
/// static KNOWN: i32 = 7;
/// pool.map(|x: i32| x + KNOWN, 0..10)?;
/// # Ok(())
/// # }
/// ```
///
/// # Tokens
///
/// A value without size, such as `struct Token;`, takes no bytes, and so a closure that
/// captures nothing else is accepted if the value is `Copy`. The workers have such a value
/// too, without anybody there having made it. A type whose values are a proof of
/// something (that a library was initialized, that this is the main thread) must
/// therefore not be without size, `Copy` and `Send` at once if unsafe code relies on it.
pub trait PoolFn<Args>: Copy + Send + 'static {
    /// What it returns.
    type Output;

    /// Calls it.
    fn call(self, args: Args) -> Self::Output;
}

macro_rules! pool_fns {
    ($($arg:ident)*) => {
        impl<F, R, $($arg),*> PoolFn<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> R + Copy + Send + 'static,
        {
            type Output = R;

            #[expect(non_snake_case, reason = "named after their types")]
            fn call(self, ($($arg,)*): ($($arg,)*)) -> R {
                self($($arg),*)
            }
        }
    };
}

pool_fns!(A);
pool_fns!(A B);
pool_fns!(A B C);
pool_fns!(A B C D);
pool_fns!(A B C D E);
pool_fns!(A B C D E G);

impl<F, R> PoolFn<()> for F
where
    F: Fn() -> R + Copy + Send + 'static,
{
    type Output = R;

    fn call(self, (): ()) -> R {
        self()
    }
}

/// A function as its caller names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    /// For the workers of this program; nothing for a function that cannot be sent.
    pub(super) routine: Option<Routine>,
    /// For those elsewhere, who know it by a registered name.
    #[cfg(feature = "broker")]
    pub(super) type_id: std::any::TypeId,
    /// Whether its inputs are its only argument, and no tuples.
    #[cfg(feature = "broker")]
    pub(super) takes_one: bool,
}

impl Function {
    pub(super) fn of<F, R>(function: &F) -> Self
    where
        F: Copy + Send + 'static,
        R: Runner<F>,
    {
        Self {
            routine: Routine::of::<F, R>(function),
            #[cfg(feature = "broker")]
            type_id: std::any::TypeId::of::<F>(),
            #[cfg(feature = "broker")]
            takes_one: false,
        }
    }

    /// A function of one argument for a chunk of inputs that are no tuples.
    pub(super) fn of_one<F, A>(function: &F) -> Self
    where
        F: PoolFn<(A,), Output: Serialize>,
        A: DeserializeOwned,
    {
        Self {
            #[cfg(feature = "broker")]
            takes_one: true,
            ..Self::of::<F, EachOne<A>>(function)
        }
    }
}

/// Runs one call.
pub(super) struct Once<A>(PhantomData<A>);

impl<F, A> Runner<F> for Once<A>
where
    F: PoolFn<A>,
    A: DeserializeOwned,
    F::Output: Serialize,
{
    fn run(function: F, mut args: &[u8], answer: &mut Vec<u8>) {
        append_value(answer, |answer| {
            catch(|| {
                let args =
                    codec::take_front(&mut args).map_err(TaskError::argument)?;
                let value = function.call(args);
                codec::append(&value, answer).map_err(TaskError::result)
            })
        });
    }
}

/// Runs an initializer, whose arguments may have handles in them.
pub(super) struct Initialize<A>(PhantomData<A>);

impl<F, A> Runner<F> for Initialize<A>
where
    F: PoolFn<A, Output = ()>,
    A: DeserializeOwned,
{
    fn run(function: F, args: &[u8], answer: &mut Vec<u8>) {
        append_value(answer, |_nothing| {
            catch(|| {
                let args = codec::decode(args).map_err(TaskError::argument)?;
                function.call(args);
                Ok(())
            })
        });
    }
}

/// Runs the calls of a chunk, each with a tuple of arguments.
pub(super) struct Each<A>(PhantomData<A>);

impl<F, A> Runner<F> for Each<A>
where
    F: PoolFn<A>,
    A: DeserializeOwned,
    F::Output: Serialize,
{
    fn run(function: F, args: &[u8], answer: &mut Vec<u8>) {
        run_chunk(|args| function.call(args), args, answer);
    }
}

/// Runs the calls of a chunk, each with one argument, which is no tuple.
pub(super) struct EachOne<A>(PhantomData<A>);

impl<F, A> Runner<F> for EachOne<A>
where
    F: PoolFn<(A,)>,
    A: DeserializeOwned,
    F::Output: Serialize,
{
    fn run(function: F, args: &[u8], answer: &mut Vec<u8>) {
        run_chunk(|arg| function.call((arg,)), args, answer);
    }
}

fn run_chunk<A: DeserializeOwned, R: Serialize>(
    call: impl Fn(A) -> R,
    args: &[u8],
    answer: &mut Vec<u8>,
) {
    let mut args = ChunkArguments::new(args);
    let mut values = ChunkValues::begin(answer);
    while args.left() > 0 {
        // All calls up to the first that fails in one go: catching costs more than
        // a short call.
        let ended = catch(|| {
            while args.left() > 0 {
                let value = call(args.next()?);
                values.push(&value)?;
            }
            Ok(())
        });
        match ended {
            Ok(()) => {}
            Err(error @ TaskError::Argument(_)) => {
                values.fail(args.skip_all(), &error);
            }
            Err(error) => values.fail(1, &error),
        }
    }
    values.finish();
}
