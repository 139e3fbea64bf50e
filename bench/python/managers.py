"""Objects in a manager's server."""
import os
from multiprocessing.managers import SyncManager

from race import fork, on_side, pin
from squares import timed
from standing import standing


def started(placement, manager, make):
    """The manager's server on its side, and the object in it. The threads of a server
    exist already."""
    for thread in os.listdir(f"/proc/{manager._process.pid}/task"):
        pin(placement, 1, int(thread))
    return manager, make(manager)


def end(pair):
    pair[0].shutdown()


def dict_get(placement, times):
    _, shared = standing(
        ("dict", placement),
        lambda: started(placement, fork.Manager(), lambda manager: manager.dict(key=1)),
        end,
    )

    def work():
        shared.get("key")
        return timed(lambda: shared.get("key"), times)

    return on_side(placement, 0, work)


def queue_manager():
    manager = SyncManager(address=("127.0.0.1", 0), authkey=b"abc", ctx=fork)
    manager.start()
    return manager


def queue_put_get(placement, times):
    _, queue = standing(
        ("queue", placement),
        lambda: started(placement, queue_manager(), lambda manager: manager.Queue()),
        end,
    )

    def put_and_get():
        queue.put(1)
        return queue.get()

    def work():
        put_and_get()
        return timed(put_and_get, times)

    return on_side(placement, 0, work)
