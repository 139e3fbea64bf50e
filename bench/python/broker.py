"""No-op tasks by the task queues of PyPI, over the same Redis as ours.

Each of them is installed in a virtual environment of its own below `BROKER_VENVS`, whose
Python runs `task_queues/driver.py`."""
import os
import subprocess
import sys

from standing import standing

HERE = os.path.join(os.path.dirname(__file__), "task_queues")


def driver_of(name, url):
    """The driver of a task queue, with two worker processes."""
    folder = os.environ.get("BROKER_VENVS")
    python = folder and os.path.join(folder, name, "bin", "python")
    if not python or not os.path.exists(python):
        raise ImportError(f"BROKER_VENVS names no folder with a {name}/bin/python")

    def make():
        driver = subprocess.Popen(
            [python, os.path.join(HERE, "driver.py"), name, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if driver.stdout.readline() != "ready\n":
            raise OSError(f"{name} does not start")
        return driver

    return standing(("driver", name), make, end)


def end(driver):
    driver.stdin.close()
    driver.wait()


def asked(name, url, what, count, times):
    driver = driver_of(name, url)
    driver.stdin.write(f"{what} {count} {times}\n")
    driver.stdin.flush()
    answer = driver.stdout.readline()
    try:
        took, total = map(int, answer.split())
    except ValueError:
        raise OSError(answer.strip() or f"{name} has ended") from None
    return took, total


def one_by_one(name, url, times):
    return asked(name, url, "one_by_one", 1, times)


def at_once(name, url, count, times):
    return asked(name, url, "at_once", count, times)
