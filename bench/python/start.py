"""Something started that does nothing, and waited for."""
import subprocess
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from threading import Thread

from nothing import nothing
from race import fork
from squares import timed

spawn = get_context("spawn")
forkserver = get_context("forkserver")
CONTEXTS = {"fork": fork, "spawn": spawn}


def thread_ended():
    thread = Thread(target=nothing)
    thread.start()
    thread.join()
    return 1


def process_ended(context):
    process = context.Process(target=nothing)
    process.start()
    process.join()
    return int(process.exitcode == 0)


def thread(times):
    return timed(thread_ended, times)


def process(times):
    return timed(lambda: process_ended(fork), times)


def spawned(times):
    return timed(lambda: process_ended(spawn), times)


def forkserver_process(times):
    process_ended(forkserver)  # Its server starts with the first.
    return timed(lambda: process_ended(forkserver), times)


def thread_pool(workers, times):
    def work():
        with ThreadPoolExecutor(workers) as pool:
            # It starts its threads with the tasks.
            for _ in range(workers):
                pool.submit(nothing)
        return 1

    return timed(work, times)


def pool(method, workers, times):
    def work():
        pool = CONTEXTS[method].Pool(workers)
        pool.close()
        pool.join()
        return 1

    return timed(work, times)


def same(n):
    return n


def used_pool(workers, times):
    def work():
        pool = fork.Pool(workers)
        assert pool.map(same, range(workers)) == list(range(workers))
        pool.close()
        pool.join()
        return 1

    return timed(work, times)


def program(mebibytes, times):
    touched = bytearray(b"1") * (mebibytes << 20)
    answer = timed(lambda: int(subprocess.Popen(["true"]).wait() == 0), times)
    del touched
    return answer
