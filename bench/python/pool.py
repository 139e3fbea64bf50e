"""Tasks given to a pool that stands, by each of its methods."""
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from time import perf_counter_ns

from queues import item
from race import fork, on_side
from squares import cal, timed
from standing import standing


@lru_cache(maxsize=None)
def steps(nanoseconds):
    """How many steps of cal take this long here: by the fastest of a few tries."""
    if nanoseconds < 100:
        return 0

    def took(count):
        start = perf_counter_ns()
        cal(count)
        return perf_counter_ns() - start

    fastest = min(took(20_000) for _ in range(10)) / 20_000
    return max(1, round(nanoseconds / fastest))


def task(n):
    """Returns whether the sum is what it must be."""
    return int(cal(n) == (n - 1) * n * (2 * n - 1) // 6)


def last(argument):
    return argument[-1]


def no_task():
    return 1


def nothing(_):
    pass


def end_pool(pool):
    pool.close()
    pool.join()


def pool_of(workers, placement="free"):
    def make():
        pool = on_side(placement, 1, lambda: fork.Pool(workers))
        pool.map(nothing, range(100), chunksize=1)
        return pool

    return standing(("pool", workers, placement), make, end_pool)


def executor_of(kind, workers, placement="free"):
    def make():
        executor = on_side(placement, 1, lambda: kind(workers))
        # It starts its workers with the first tasks.
        on_side(placement, 1, lambda: list(executor.map(nothing, range(100))))
        return executor

    return standing((kind, workers, placement), make, lambda it: it.shutdown())


def forking_executor(workers):
    return ProcessPoolExecutor(workers, mp_context=fork)


def batch(method, workers, chunksize, function, inputs, times):
    """One of the ways to do a batch of tasks, whose arguments `inputs` makes anew."""
    if method == "one":
        return timed(lambda: sum(map(function, inputs())), times)
    if method == "executor":
        pool = executor_of(forking_executor, workers)
        work = lambda: sum(pool.map(function, inputs(), chunksize=chunksize))
        return timed(work, times)
    if method == "thread_executor":
        pool = executor_of(ThreadPoolExecutor, workers)
        return timed(lambda: sum(pool.map(function, inputs())), times)
    pool = pool_of(workers)
    ways = {
        "map": lambda: sum(pool.map(function, inputs())),
        "map_by": lambda: sum(pool.map(function, inputs(), chunksize)),
        "apply": lambda: sum(pool.apply(function, (i,)) for i in inputs()),
        "apply_async": lambda: sum(
            result.get()
            for result in [pool.apply_async(function, (i,)) for i in inputs()]
        ),
        "imap": lambda: sum(pool.imap(function, inputs())),
        "imap_unordered": lambda: sum(pool.imap_unordered(function, inputs())),
    }
    return timed(ways[method], times)


def tasks(method, workers, chunksize, nanoseconds, count, times):
    number = steps(nanoseconds)
    inputs = lambda: [number] * count
    return batch(method, workers, chunksize, task, inputs, times)


def arguments(method, workers, chunksize, size, count, times):
    view = memoryview(item(size))
    # Each its own, as pickle would send equal ones once.
    inputs = lambda: [bytes(view) for _ in range(count)]
    return batch(method, workers, chunksize, last, inputs, times)


def apply_round_trip(placement, workers, times):
    pool = pool_of(workers, placement)
    work = lambda: timed(lambda: pool.apply(no_task), times)
    return on_side(placement, 0, work)


def thread_round_trip(placement, workers, times):
    pool = executor_of(ThreadPoolExecutor, workers, placement)
    work = lambda: timed(lambda: pool.submit(no_task).result(), times)
    return on_side(placement, 0, work)


def apply_tail(placement, workers, times):
    """The 99th percentile of single calls by the nearest rank, and of how many."""
    pool = pool_of(workers, placement)

    def work():
        for _ in range(100):
            pool.apply(no_task)
        took = []
        for _ in range(times):
            start = perf_counter_ns()
            pool.apply(no_task)
            took.append(perf_counter_ns() - start)
        took.sort()
        return took[-(-times * 99 // 100) - 1], times

    return on_side(placement, 0, work)
