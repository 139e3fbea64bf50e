//! Exercises that are one function: D43, D44, D45. Their properties are tested in
//! `tests/exercises`.

use tutorial::harness::listing;

#[test]
fn scheduler_runs_the_four_processes_by_priority() {
    for _ in 0..20 {
        let lines = listing!("scheduler").run().success();
        let run = |line: &'_ String| {
            let (priority, name) = line.split_once(' ').unwrap();
            (priority.parse().unwrap(), name.to_owned())
        };
        let runs: Vec<(f64, String)> = lines.iter().map(run).collect();
        assert!(runs.is_sorted_by_key(|(priority, _)| *priority), "{runs:?}");
        assert!(runs.contains(&(5.0, "Print Doc".into())), "{runs:?}");
        assert!(runs.contains(&(5.5, "Write Doc".into())), "{runs:?}");
        for random in ["Watch TV", "Listen to music"] {
            let (priority, _) =
                runs.iter().find(|(_, name)| *name == random).unwrap();
            assert!((1.0..=20.0).contains(priority), "{runs:?}");
        }
        assert_eq!(runs.len(), 4);
    }
}

#[test]
fn divide_by_first_shows_its_test_cases() {
    assert_eq!(
        listing!("divide_by_first").run().success(),
        [
            "[2, 4, 6, 7] [1, 2, 3, 3]",
            "[-2, 7, -7] [1, -4, 3]",
            "[5] [1]",
            "[3, 0] [1, 0]",
            "[0, 1, 2] the first number must not be 0",
            "[] the list is empty: nothing to divide by",
        ]
    );
}

#[test]
fn poisoned_bottle_finds_bottle_127() {
    assert_eq!(
        listing!("poisoned_bottle").run().success(),
        [
            "0001111111: the mice [1, 2, 3, 4, 5, 6, 7] died",
            "The poison was in bottle 127",
        ]
    );
}

#[test]
fn poisoned_bottle_finds_the_bottle_of_its_argument() {
    assert_eq!(
        listing!("poisoned_bottle").arg("1000").run().success(),
        [
            "1111101000: the mice [4, 6, 7, 8, 9, 10] died",
            "The poison was in bottle 1000",
        ]
    );
}

#[test]
fn poisoned_bottle_refuses_a_bottle_that_does_not_exist() {
    for bottle in ["0", "1001", "-1", "", "all"] {
        let run = listing!("poisoned_bottle").arg(bottle).run();
        assert_eq!(run.status.code(), Some(1), "{run:#?}");
        let sentence =
            format!("Error: The bottles are numbered from 1 to 1000, not {bottle}.");
        assert_eq!(run.errors, [sentence]);
    }
}
