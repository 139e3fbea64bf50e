//! Threads that hand items over in a queue: T11, T12, T13.

use tutorial::harness::listing;

#[test]
fn queue_kinds_gives_each_its_order() {
    assert_eq!(
        listing!("queue_kinds").run().success(),
        [
            "empty false, full false, qsize 1",
            "empty false, full true, qsize 2",
            "put_nowait: the queue is full, 3 is left over",
            "1",
            "2",
            "empty true, full false, qsize 0",
            "get_nowait: the queue is empty",
            "2",
            "1",
            r#"(1, "cc")"#,
            r#"(3, "cx")"#,
        ]
    );
}

#[test]
fn producer_join_waits_for_the_last_bone() {
    for _ in 0..50 {
        let mut lines = listing!("producer_join").run().success();
        assert_eq!(lines.pop().unwrap(), "所有的骨头被吃完...");
        let waits = lines
            .iter()
            .position(|l| l.starts_with("开始等待"))
            .unwrap();
        assert_eq!(lines.remove(waits), "开始等待所有的骨头被吃掉。。。。");
        let eaten: Vec<_> =
            (0..10).map(|i| format!("司家勇 正在吃 骨头 {i}")).collect();
        assert_eq!(lines, eaten);
    }
}

#[test]
fn producer_consumer_eats_in_order_what_it_finds_in_twenty_looks() {
    let lines = listing!("producer_consumer").tempo(50).run().success();
    let (produced, consumer): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line.starts_with("producer"));
    let all: Vec<_> = (0..20)
        .map(|i| format!("producer 陈鑫 has produced {i} 翔..."))
        .collect();
    assert_eq!(produced, all);

    let (nothing, eaten): (Vec<_>, Vec<_>) = consumer
        .into_iter()
        .partition(|line| line == "-----no baozi anymore-----");
    assert_eq!(nothing.len() + eaten.len() / 2, 20);
    for (data, lines) in eaten.chunks(2).enumerate() {
        let eats =
            format!("\x1b[32;1m Consumer 白弘毅 has eat {data} 翔....\x1b[0m");
        assert_eq!(lines, [data.to_string(), eats]);
    }
}
