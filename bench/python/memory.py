"""The sum of many numbers that lie in shared memory."""
from array import array

from race import fork
from squares import in_pool, in_processes, in_threads, timed
from standing import standing


def make(count):
    view = memoryview(fork.RawArray("Q", count)).cast("B").cast("Q")
    view[:] = array("Q", range(count))
    return view


def numbers(count):
    return standing(("numbers", count), lambda: make(count), lambda view: view.release())


def part(workers, worker, count):
    view = numbers(count)
    first, last = [len(view) * w // workers for w in (worker, worker + 1)]
    return sum(view[first:last])


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
