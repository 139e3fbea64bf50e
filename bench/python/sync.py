"""A number increased under its lock, by one or by several at a time."""
from threading import Barrier, Lock, Thread
from time import perf_counter_ns

from lock import share
from squares import fork


def race(workers, make, make_barrier, steps, times):
    """Each worker does its share. The clock starts when all of them have started."""
    if workers == 1:
        start = perf_counter_ns()
        steps(times)
        return perf_counter_ns() - start
    ready = make_barrier(workers + 1)

    def work(worker):
        ready.wait()
        steps(share(workers, worker, times))

    started = [make(target=work, args=(worker,)) for worker in range(workers)]
    for each in started:
        each.start()
    ready.wait()
    start = perf_counter_ns()
    for each in started:
        each.join()
    return perf_counter_ns() - start


def thread_lock(workers, times):
    lock, number = Lock(), [0]

    def steps(count):
        for _ in range(count):
            with lock:
                number[0] += 1

    return race(workers, Thread, Barrier, steps, times), number[0]


def between_processes(workers, lock, times):
    number = fork.RawValue("Q", 0)

    def steps(count):
        for _ in range(count):
            with lock:
                number.value += 1

    return race(workers, fork.Process, fork.Barrier, steps, times), number.value


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

    return race(workers, fork.Process, fork.Barrier, steps, times), number.value
