"""Tasks given to a pool that stands, by each of its methods."""
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from time import perf_counter_ns

from queues import item
from race import fork, on_core
from squares import cal, timed


@lru_cache(maxsize=None)
def steps(nanoseconds):
    """As many steps of cal as take so long here: by the fastest of a few tries."""
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


def with_pool(workers, work, times):
    with fork.Pool(workers) as pool:
        answer = timed(lambda: work(pool), times)
        pool.close()
        pool.join()
    return answer


def with_executor(executor, work, times):
    with executor as pool:
        # It starts its workers with the first tasks.
        list(pool.map(int, range(100), chunksize=1))
        return timed(lambda: work(pool), times)


def piece(workers, chunksize, function, inputs, method, times):
    """One of the ways to do a batch of tasks."""
    ways = {
        "map": lambda pool: sum(pool.map(function, inputs)),
        "map_chunks": lambda pool: sum(pool.map(function, inputs, chunksize)),
        "apply": lambda pool: sum(pool.apply(function, (i,)) for i in inputs),
        "apply_async": lambda pool: sum(
            result.get()
            for result in [pool.apply_async(function, (i,)) for i in inputs]
        ),
        "imap": lambda pool: sum(pool.imap(function, inputs)),
        "imap_unordered": lambda pool: sum(pool.imap_unordered(function, inputs)),
    }
    if method == "one":
        return timed(lambda: sum(map(function, inputs)), times)
    if method in ways:
        return with_pool(workers, ways[method], times)
    if method == "executor":
        executor = ProcessPoolExecutor(workers, mp_context=fork)
    else:
        executor = ThreadPoolExecutor(workers)
    return with_executor(
        executor, lambda pool: sum(pool.map(function, inputs)), times
    )


def of_tasks(method):
    def run(workers, chunksize, nanoseconds, count, times):
        inputs = [steps(nanoseconds)] * count
        return piece(workers, chunksize, task, inputs, method, times)

    return run


def of_arguments(method):
    def run(workers, chunksize, size, count, times):
        # Each its own, as pickle would send equal ones once.
        inputs = [bytes(bytearray(item(size))) for _ in range(count)]
        return piece(workers, chunksize, last, inputs, method, times)

    return run


for method in [
    "one",
    "map",
    "map_chunks",
    "apply",
    "apply_async",
    "imap",
    "imap_unordered",
    "executor",
    "thread_executor",
]:
    globals()[f"tasks_{method}"] = of_tasks(method)
    globals()[f"arguments_{method}"] = of_arguments(method)


def on_two_cores(make, work, times):
    """The pool on one core, whoever gives it tasks on another."""
    pool = on_core(1, make)
    with pool:
        return on_core(0, lambda: work(pool, times))


def apply_round_trip(workers, times):
    return on_two_cores(
        lambda: fork.Pool(workers),
        lambda pool, times: timed(lambda: pool.apply(no_task), times),
        times,
    )


def thread_round_trip(workers, times):
    def make():
        pool = ThreadPoolExecutor(workers)
        # It starts its threads with the first tasks.
        list(pool.map(int, range(100)))
        return pool

    return on_two_cores(
        make,
        lambda pool, times: timed(lambda: pool.submit(no_task).result(), times),
        times,
    )


def percentile_99(pool, times):
    total, took = 0, []
    for _ in range(times):
        start = perf_counter_ns()
        total += pool.apply(no_task)
        took.append(perf_counter_ns() - start)
    took.sort()
    return took[min(times * 99 // 100, times - 1)] * times, total


def apply_percentile_99(workers, times):
    """The time that one in a hundred exceeds, as if each had taken it."""
    return on_two_cores(lambda: fork.Pool(workers), percentile_99, times)
