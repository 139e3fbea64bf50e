"""Something started that does nothing, and waited for."""
import subprocess
from multiprocessing import get_context
from threading import Thread

from squares import fork, timed

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


def program(mebibytes, times):
    touched = bytearray(b"1") * (mebibytes << 20)
    answer = timed(lambda: 1 - subprocess.Popen(["true"]).wait(), times)
    del touched
    return answer
