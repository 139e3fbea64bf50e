"""One counter under one lock."""
from threading import Lock

from race import fork, share
from squares import in_pool, in_processes, in_threads, timed


class Plain:
    """A counter that the threads of one process have."""

    value = 0


def made(kind):
    """A lock of this kind and its counter."""
    if kind == "thread_lock":
        return Lock(), Plain()
    counter = fork.Value("Q", 0)
    return counter.get_lock(), counter


def one(kind, count, times):
    def work():
        lock, counter = made(kind)
        for _ in range(count):
            with lock:
                counter.value += 1
        return counter.value

    return timed(work, times)


def counted(run, kind, workers, count, times):
    def work():
        lock, counter = made(kind)

        def part(worker):
            for _ in range(share(workers, worker, count)):
                with lock:
                    counter.value += 1
            return 0

        run(workers, part)
        return counter.value

    return timed(work, times)


def threads(kind, workers, count, times):
    return counted(in_threads, kind, workers, count, times)


def processes(kind, workers, count, times):
    return counted(in_processes, kind, workers, count, times)


def changes(run, kind, workers, count):
    """How often the lock changes hands while it is taken `count` times, and that count.
    Each holder leaves its number under the lock, for the next one to compare."""
    lock, _ = made(kind)
    last, changed = fork.RawValue("q", -1), fork.RawValue("Q", 0)

    def part(worker):
        for _ in range(share(workers, worker, count)):
            with lock:
                if last.value != worker:
                    last.value = worker
                    changed.value += 1
        return 0

    run(workers, part)
    return changed.value, count


def threads_changes(kind, workers, count, times):
    return changes(in_threads, kind, workers, count)


def processes_changes(kind, workers, count, times):
    return changes(in_processes, kind, workers, count)


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
