"""One counter under one lock."""
from threading import Lock

from race import fork, share
from squares import in_pool, in_processes, in_threads, timed


def one(count, times):
    def work():
        lock, counter = Lock(), 0
        for _ in range(count):
            with lock:
                counter += 1
        return counter

    return timed(work, times)


def threads(workers, count, times):
    def work():
        lock, counter = Lock(), [0]

        def part(worker):
            for _ in range(share(workers, worker, count)):
                with lock:
                    counter[0] += 1
            return 0

        in_threads(workers, part)
        return counter[0]

    return timed(work, times)


def processes(workers, count, times):
    def work():
        counter = fork.Value("Q", 0)

        def part(worker):
            for _ in range(share(workers, worker, count)):
                with counter.get_lock():
                    counter.value += 1
            return 0

        in_processes(workers, part)
        return counter.value

    return timed(work, times)


counter = None  # The pool's workers are forks, and have it.


def pool_part(workers, worker, count):
    for _ in range(share(workers, worker, count)):
        with counter.get_lock():
            counter.value += 1
    return 0


def pool(workers, count, times):
    def work():
        global counter
        counter = fork.Value("Q", 0)
        in_pool(workers, pool_part, count)
        return counter.value

    return timed(work, times)
