//! Coroutines: T15.

use tutorial::harness::listing;

#[test]
fn coroutine_gives_each_its_turn() {
    let turns: Vec<_> = (0..5)
        .flat_map(|n| {
            [
                format!("producer makes baozi {n}"),
                format!("consumer eats baozi {n}"),
            ]
        })
        .collect();
    assert_eq!(listing!("coroutine").run().success(), turns);
}
