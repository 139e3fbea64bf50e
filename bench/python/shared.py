"""The numbers of a shared array read and written, one by one."""
from functools import lru_cache
from multiprocessing.shared_memory import SharedMemory

from race import fork
from squares import timed


@lru_cache(maxsize=None)
def array(length, lock):
    return fork.Array("Q", range(length), lock=lock)


def walk(numbers, length):
    total = 0
    for i in range(length):
        number = numbers[i]
        numbers[i] = number
        total += number
    return total


def locked_once(length, times):
    shared = array(length, True)

    def work():
        with shared.get_lock():
            return walk(shared.get_obj(), length)

    return timed(work, times)


def locked_each(length, times):
    shared = array(length, True)
    return timed(lambda: walk(shared, length), times)


def raw(length, times):
    shared = array(length, False)
    return timed(lambda: walk(shared, length), times)


def block(size, times):
    def work():
        shared = SharedMemory(create=True, size=size)
        found = shared.size
        shared.close()
        shared.unlink()
        return found

    return timed(work, times)
