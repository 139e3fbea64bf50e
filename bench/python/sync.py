"""A number increased under its lock, by one or by several at a time."""
from threading import Lock
from time import perf_counter_ns

from race import by_processes, by_threads, fork, share


def race(workers, by, steps, times):
    """Each worker does its share."""
    if workers == 1:
        start = perf_counter_ns()
        steps(times)
        return perf_counter_ns() - start
    parts = [
        lambda worker=worker: steps(share(workers, worker, times))
        for worker in range(workers)
    ]
    took, _ = by(parts)
    return took


def thread_lock(workers, times):
    lock, number = Lock(), [0]

    def steps(count):
        for _ in range(count):
            with lock:
                number[0] += 1

    return race(workers, by_threads, steps, times), number[0]


def between_processes(workers, lock, times):
    number = fork.RawValue("Q", 0)

    def steps(count):
        for _ in range(count):
            with lock:
                number.value += 1

    return race(workers, by_processes, steps, times), number.value


def lock(workers, times):
    return between_processes(workers, fork.Lock(), times)


def rlock(workers, times):
    return between_processes(workers, fork.RLock(), times)


def semaphore(workers, times):
    return between_processes(workers, fork.Semaphore(1), times)


def value(workers, times):
    number = fork.Value("Q", 0)

    def steps(count):
        for _ in range(count):
            with number.get_lock():
                number.value += 1

    return race(workers, by_processes, steps, times), number.value
