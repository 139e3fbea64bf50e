"""Where workers run, and workers that begin together."""
import os
from multiprocessing import get_context
from threading import Barrier, Thread
from time import perf_counter_ns

fork = get_context("fork")
CORES = sorted(os.sched_getaffinity(0))

# A placement is "free" (where the scheduler puts them), "one_core" or "apart".


def pin(placement, side, process=0):
    """Puts a process, or the calling thread, where a side belongs."""
    if placement == "one_core":
        side = 0
    if placement != "free":
        os.sched_setaffinity(process, {CORES[side % len(CORES)]})


def on_side(placement, side, work):
    pin(placement, side)
    try:
        return work()
    finally:
        os.sched_setaffinity(0, CORES)


def share(workers, worker, count):
    return count * (worker + 1) // workers - count * worker // workers


class Race:
    """How workers that begin together are started. Each part is called with a number of
    repetitions to share, first with `warm` to warm up, then with those of the sample.
    """

    def __init__(self, placement, warm):
        self.placement = placement
        self.warm = warm

    def lap(self, side, times, ready, part):
        """When a part began and ended, and the sum of its answers."""
        pin(self.placement, side)
        part(self.warm)
        ready.wait()
        start = perf_counter_ns()
        total = part(times) or 0
        return start, perf_counter_ns(), total

    def by_threads(self, times, parts):
        ready, laps = Barrier(len(parts)), []

        def run(side, part):
            laps.append(self.lap(side, times, ready, part))

        workers = [
            Thread(target=run, args=numbered) for numbered in enumerate(parts)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return whole(laps)

    def by_processes(self, times, parts):
        ready, laps = fork.Barrier(len(parts)), fork.SimpleQueue()

        def run(side, part):
            laps.put(self.lap(side, times, ready, part))

        workers = [
            fork.Process(target=run, args=numbered) for numbered in enumerate(parts)
        ]
        for worker in workers:
            worker.start()
        answer = whole([laps.get() for _ in workers])
        for worker in workers:
            worker.join()
            if worker.exitcode != 0:
                raise OSError(f"a worker exited with {worker.exitcode}")
        return answer


def whole(laps):
    """From the first start to the last end, and the sum of all answers."""
    starts, ends, totals = zip(*laps)
    return max(ends) - min(starts), sum(totals)
