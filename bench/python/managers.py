"""Objects in a manager's server."""
import os
from functools import lru_cache
from multiprocessing.managers import SyncManager

from race import fork, on_core, pin
from squares import timed


def share_core(manager):
    """On one core with its client, as in Rust. Its threads are there already."""
    for thread in os.listdir(f"/proc/{manager._process.pid}/task"):
        pin(0, int(thread))


@lru_cache(maxsize=1)
def shared_dict():
    manager = fork.Manager()
    share_core(manager)
    return manager, manager.dict(key=1)


def dict_get(times):
    _, shared = shared_dict()
    return on_core(0, lambda: timed(lambda: shared.get("key"), times))


@lru_cache(maxsize=1)
def shared_queue():
    manager = SyncManager(address=("127.0.0.1", 0), authkey=b"abc", ctx=fork)
    manager.start()
    share_core(manager)
    return manager, manager.Queue()


def queue_put_get(times):
    _, queue = shared_queue()

    def work():
        queue.put(1)
        return queue.get()

    return on_core(0, lambda: timed(work, times))
