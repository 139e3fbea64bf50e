"""Gives no-op tasks to one of the task queues, and collects their results.

Started as `driver.py NAME URL`, it starts two worker processes, prints `ready` when they
have done some tasks, and then answers each line `one_by_one 1 TIMES` or
`at_once COUNT TIMES` with the nanoseconds that it took and the sum of the results. It ends
its workers at the end of its input.
"""
import ctypes
import os
import signal
import subprocess
import sys
from time import perf_counter_ns, sleep

HERE = os.path.dirname(os.path.abspath(__file__))


def end_with_parent():
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def start(*words):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )


class Celery:
    def __init__(self):
        import celery_tasks

        self.task = celery_tasks.no_task
        module = ["-m", "celery", "-A", "celery_tasks", "worker"]
        options = ["--concurrency", "2", "--without-gossip", "--without-mingle"]
        self.workers = [start(*module, *options)]

    def send(self, number):
        return self.task.delay(number)

    def get(self, sent):
        return sent.get(timeout=60)


class Dramatiq:
    def __init__(self):
        import dramatiq_tasks

        self.task = dramatiq_tasks.no_task
        options = ["--processes", "2", "--threads", "1"]
        self.workers = [start("-m", "dramatiq", "dramatiq_tasks", *options)]

    def send(self, number):
        return self.task.send(number)

    def get(self, sent):
        return sent.get_result(block=True, timeout=60_000)


class Rq:
    def __init__(self):
        from redis import Redis
        from rq import Queue
        from rq_tasks import no_task

        self.task = no_task
        url = os.environ["QUEUE_URL"]
        self.queue = Queue(connection=Redis.from_url(url))
        program = os.path.join(os.path.dirname(sys.executable), "rq")
        self.workers = [start(program, "worker", "--url", url) for _ in range(2)]

    def send(self, number):
        return self.queue.enqueue(self.task, number)

    def get(self, sent):
        # It has no way to wait for a result but to look.
        until = perf_counter_ns() + 60 * 10**9
        while not sent.is_finished:
            if sent.is_failed or perf_counter_ns() > until:
                raise OSError("the task has no result")
            sleep(0.001)
        return sent.return_value(refresh=True)


# Each has a database of its own, as their keys may be the same.
KINDS = {"celery": (Celery, 1), "dramatiq": (Dramatiq, 2), "rq": (Rq, 3)}


def main():
    end_with_parent()
    name, url = sys.argv[1:]
    kind, database = KINDS[name]
    os.environ["QUEUE_URL"] = f"{url.rsplit('/', 1)[0]}/{database}"
    sys.path.insert(0, HERE)
    answers, sys.stdout = sys.stdout, sys.stderr
    queue = kind()
    # The workers start and connect during these tasks, before anything is measured.
    for sent in [queue.send(0) for _ in range(20)]:
        queue.get(sent)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        what, count, times = line.split()
        total = 0
        begin = perf_counter_ns()
        for _ in range(int(times)):
            sent = [queue.send(0) for _ in range(int(count))]
            total += sum(queue.get(task) for task in sent)
        print(perf_counter_ns() - begin, total, file=answers, flush=True)
    for worker in queue.workers:
        worker.terminate()
    for worker in queue.workers:
        try:
            worker.wait(timeout=5)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


if __name__ == "__main__":
    main()
