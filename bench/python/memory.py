"""The sum of many numbers that lie in shared memory."""
from functools import lru_cache

from race import fork
from squares import in_pool, in_processes, in_threads, timed


@lru_cache(maxsize=1)
def numbers(count):
    array = fork.RawArray("Q", count)
    view = memoryview(array).cast("B").cast("Q")
    for i in range(count):
        view[i] = i
    return view


def part(workers, worker, count):
    bound = [len(numbers(count)) * w // workers for w in (worker, worker + 1)]
    return sum(numbers(count)[bound[0] : bound[1]])


def one(count, times):
    numbers(count)
    return timed(lambda: part(1, 0, count), times)


def threads(workers, count, times):
    numbers(count)
    return timed(
        lambda: in_threads(workers, lambda w: part(workers, w, count)), times
    )


def processes(workers, count, times):
    numbers(count)
    return timed(
        lambda: in_processes(workers, lambda w: part(workers, w, count)), times
    )


def pool(workers, count, times):
    numbers(count)  # The workers are forks, and have them already.
    return timed(lambda: in_pool(workers, part, count), times)
