//! Threads that talk to each other: N25.

use tutorial::harness::listing;

#[test]
fn dialogue_keeps_its_order() {
    for _ in 0..10 {
        assert_eq!(
            listing!("dialogue").tempo(20).run().success(),
            [
                "Smith :Good Morning",
                "John :Good morning",
                "Smith :How are you?",
                "John :I am fine, thank you",
            ]
        );
    }
}
