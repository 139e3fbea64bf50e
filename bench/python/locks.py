"""A number increased under its lock, by one worker or by several at a time."""
from threading import Lock
from time import perf_counter_ns

from race import Race, fork, share

WARM = 1000


class Plain:
    """A number that the threads of one process have."""

    value = 0


def made(kind):
    """A lock of this kind, its number, and whether its users are threads."""
    if kind == "thread_lock":
        return Lock(), Plain(), True
    if kind == "value":
        value = fork.Value("Q", 0)
        return value.get_lock(), value, False
    locks = {
        "lock": fork.Lock,
        "rlock": fork.RLock,
        "semaphore": lambda: fork.Semaphore(1),
    }
    return locks[kind](), fork.RawValue("Q", 0), False


def race(placement, by_threads, times, parts):
    race = Race(placement, WARM)
    run = race.by_threads if by_threads else race.by_processes
    return run(times, parts)[0]


def count(kind, placement, workers, times):
    """Has the number counted up to `times`."""
    lock, number, by_threads = made(kind)

    def steps(count):
        for _ in range(count):
            with lock:
                number.value += 1

    if workers == 1:
        start = perf_counter_ns()
        steps(times)
        return perf_counter_ns() - start, number.value
    parts = [
        lambda times, worker=worker: steps(share(workers, worker, times))
        for worker in range(workers)
    ]
    took = race(placement, by_threads, times, parts)
    return took, number.value - WARM


def changes(kind, placement, workers, times):
    """How often the lock changes hands meanwhile, and how often it is taken. Each holder
    leaves its number under the lock, for the next one to compare."""
    lock, number, by_threads = made(kind)
    last, changed = fork.RawValue("q", -1), fork.RawValue("Q", 0)

    def steps(worker, count):
        for _ in range(count):
            with lock:
                number.value += 1
                if last.value != worker:
                    last.value = worker
                    changed.value += 1

    parts = [
        lambda times, worker=worker: steps(worker, share(workers, worker, times))
        for worker in range(workers)
    ]
    race(placement, by_threads, times, parts)
    return changed.value, number.value
