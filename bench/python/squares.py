"""Listing D53: the sum of squares below n, for each n below a count."""
from concurrent.futures import ProcessPoolExecutor
from threading import Thread
from time import perf_counter_ns

from race import fork


def cal(n):
    sum = 0
    for i in range(n):
        sum += i * i
    return sum


def part(workers, worker, count):
    return sum(cal(n) for n in range(worker, count, workers))


def timed(work, times):
    start = perf_counter_ns()
    total = sum(work() for _ in range(times))
    return perf_counter_ns() - start, total


def one(count, times):
    return timed(lambda: part(1, 0, count), times)


def in_threads(workers, part):
    answers = []
    threads = [
        Thread(target=lambda worker=worker: answers.append(part(worker)))
        for worker in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answers)


def in_processes(workers, part):
    receiver, sender = fork.Pipe(duplex=False)
    processes = [
        fork.Process(target=lambda worker=worker: sender.send(part(worker)))
        for worker in range(workers)
    ]
    for process in processes:
        process.start()
    total = sum(receiver.recv() for _ in processes)
    for process in processes:
        process.join()
        if process.exitcode != 0:
            raise OSError(f"a process exited with {process.exitcode}")
    return total


def in_pool(workers, part, count):
    with fork.Pool(workers) as pool:
        parts = [(workers, worker, count) for worker in range(workers)]
        totals = pool.starmap(part, parts, chunksize=1)
        pool.close()
        pool.join()
    return sum(totals)


def threads(workers, count, times):
    return timed(
        lambda: in_threads(workers, lambda w: part(workers, w, count)), times
    )


def processes(workers, count, times):
    return timed(
        lambda: in_processes(workers, lambda w: part(workers, w, count)), times
    )


def pool(workers, count, times):
    def work():
        with fork.Pool(workers) as pool:
            answers = pool.map(cal, range(count))
            pool.close()
            pool.join()
        return sum(answers)

    return timed(work, times)


def executor(workers, count, times):
    def work():
        with ProcessPoolExecutor(workers, mp_context=fork) as pool:
            # As many chunks as a Pool makes.
            chunksize = -(-count // (4 * workers))
            return sum(pool.map(cal, range(count), chunksize=chunksize))

    return timed(work, times)
