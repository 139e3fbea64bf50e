//! A producer and a consumer take turns on one thread.
//!
//! Listing T15, 《Python(十) 进程、线程、协程篇》6、协程. The document announces it and has no
//! listing. An `async fn` keeps its place and its variables between its turns.
//! Rust's library has no event loop; `take_turns` is one.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

// No lock: on one thread only the coroutine that has the turn touches the plate.
async fn producer(plate: &Cell<Option<i32>>) {
    for n in 0..5 {
        println!("producer makes baozi {n}");
        plate.set(Some(n));
        your_turn().await;
    }
}

async fn consumer(plate: &Cell<Option<i32>>) {
    // The producer has just had its turn, so an empty plate means that it has ended.
    while let Some(n) = plate.take() {
        println!("consumer eats baozi {n}");
        your_turn().await;
    }
}

/// Gives the turn away once: Python's bare `yield`, or `await asyncio.sleep(0)`.
async fn your_turn() {
    let mut given = false;
    poll_fn(|_| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        Poll::Pending
    })
    .await;
}

/// Gives each coroutine its turn, over and over, until the last has returned.
fn take_turns(mut coroutines: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    // The coroutines wait for nothing but their turn, so nothing has to wake them.
    let mut context = Context::from_waker(Waker::noop());
    while !coroutines.is_empty() {
        coroutines.retain_mut(|c| c.as_mut().poll(&mut context).is_pending());
    }
}

fn main() {
    let plate = &Cell::new(None);
    // A call only makes the coroutine. It starts to run at its first turn.
    take_turns(vec![Box::pin(producer(plate)), Box::pin(consumer(plate))]);
}
