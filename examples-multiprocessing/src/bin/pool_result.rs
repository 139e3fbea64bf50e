//! The result of a pool's task: waited for, looked at, or handed to a callback.
//!
//! Listing D61, 达内 course notes, 自己去看发货 and 阻塞非阻塞 (prose). To wait is to block. To
//! look is not to block, and still to do the asking oneself. With a callback the
//! other side reports, which is what makes it asynchronous.

use multiprocessing::{Pool, TaskError};
use tutorial::{Result, sleep};

fn ship(orders: i32) -> i32 {
    sleep(1.0);
    100 / orders
}

fn shipped(days: i32) {
    println!("callback: {days}");
}

fn failed(error: TaskError) {
    println!("error callback: {error}");
}

fn main() -> Result<()> {
    let pool = Pool::new(2)?;

    let result = pool.apply_async(ship, (1,));
    println!("get: {}", result.get()?);

    for orders in [2, 0] {
        let result = pool.apply_async(ship, (orders,));
        // Python raises ValueError if `successful` is asked too early.
        println!("successful: {:?}", result.successful());
        while !result.ready() {
            println!("not ready");
            sleep(0.4);
        }
        println!("ready, successful: {:?}", result.successful());
    }

    for orders in [4, 0] {
        pool.apply_async(ship, (orders,))
            .callback(shipped)
            .error_callback(failed);
    }
    println!("main does something else");
    pool.close();
    pool.join()?;
    Ok(())
}
