"""Workers that begin together, each on a core of its own where there are enough."""
import os
from multiprocessing import get_context
from threading import Barrier, Thread
from time import perf_counter_ns

fork = get_context("fork")
CORES = sorted(os.sched_getaffinity(0))


def pin(core, process=0):
    os.sched_setaffinity(process, {CORES[core % len(CORES)]})


def on_core(core, work):
    pin(core)
    try:
        return work()
    finally:
        os.sched_setaffinity(0, CORES)


def share(workers, worker, count):
    return count * (worker + 1) // workers - count * worker // workers


def lap(number, parts, ready, part):
    """When a part began and ended, and what came out of it."""
    if len(parts) <= len(CORES):
        pin(number)
    ready.wait()
    start = perf_counter_ns()
    total = part() or 0
    return start, perf_counter_ns(), total


def whole(laps):
    """From when the first began until the last had ended, and what came out of all."""
    starts, ends, totals = zip(*laps)
    return max(ends) - min(starts), sum(totals)


def by_threads(parts):
    ready, laps = Barrier(len(parts)), []
    workers = [
        Thread(target=lambda i=i, part=part: laps.append(lap(i, parts, ready, part)))
        for i, part in enumerate(parts)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return whole(laps)


def by_processes(parts):
    ready, laps = fork.Barrier(len(parts)), fork.SimpleQueue()
    workers = [
        fork.Process(
            target=lambda i=i, part=part: laps.put(lap(i, parts, ready, part))
        )
        for i, part in enumerate(parts)
    ]
    for worker in workers:
        worker.start()
    answer = whole([laps.get() for _ in workers])
    for worker in workers:
        worker.join()
    return answer
