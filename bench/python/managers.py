"""Objects in a manager's server."""
from functools import lru_cache
from multiprocessing.managers import SyncManager

from race import fork, on_core, pin
from squares import timed


@lru_cache(maxsize=1)
def shared_dict():
    manager = fork.Manager()
    pin(1, manager._process.pid)
    return manager, manager.dict(key=1)


def dict_get(times):
    _, shared = shared_dict()
    return on_core(0, lambda: timed(lambda: shared.get("key"), times))


@lru_cache(maxsize=1)
def shared_queue():
    manager = SyncManager(address=("127.0.0.1", 0), authkey=b"abc", ctx=fork)
    manager.start()
    pin(1, manager._process.pid)
    return manager, manager.Queue()


def queue_put_get(times):
    _, queue = shared_queue()

    def work():
        queue.put(1)
        return queue.get()

    return on_core(0, lambda: timed(work, times))
