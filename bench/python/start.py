"""Something started that does nothing, and waited for."""
import subprocess
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from threading import Thread

from race import fork
from squares import timed

spawn = get_context("spawn")


def nothing():
    pass


def started(make):
    worker = make(target=nothing)
    worker.start()
    worker.join()
    return 1


def thread(times):
    return timed(lambda: started(Thread), times)


def process(times):
    return timed(lambda: started(fork.Process), times)


def spawned(times):
    return timed(lambda: started(spawn.Process), times)


def thread_pool(workers, times):
    def work():
        with ThreadPoolExecutor(workers) as pool:
            # It starts its threads with the tasks.
            for _ in range(workers):
                pool.submit(nothing)
        return 1

    return timed(work, times)


def pool(workers, times):
    def work():
        pool = fork.Pool(workers)
        pool.close()
        pool.join()
        return 1

    return timed(work, times)


def program(mebibytes, times):
    touched = bytearray(b"1") * (mebibytes << 20)
    answer = timed(lambda: 1 - subprocess.Popen(["true"]).wait(), times)
    del touched
    return answer
