"""Something handed over, between threads and between processes."""
from queue import Queue
from threading import Barrier, Thread
from time import perf_counter_ns, sleep

from lock import share
from squares import fork


def race(make, make_barrier, parts):
    """Runs each part by a worker. The clock starts when all of them have started."""
    ready = make_barrier(len(parts) + 1)

    def work(part):
        ready.wait()
        part()

    workers = [make(target=work, args=(part,)) for part in parts]
    for worker in workers:
        worker.start()
    ready.wait()
    start = perf_counter_ns()
    return workers, start


def join(workers, start):
    for worker in workers:
        worker.join()
    return perf_counter_ns() - start


def item(size):
    return bytes(size - 1) + b"\1"


def sides(producers, consumers, times, put, get, answer):
    def producer(count):
        for _ in range(count):
            put()

    def consumer(count):
        answer(sum(get()[-1] for _ in range(count)))

    return [
        lambda i=i: producer(share(producers, i, times)) for i in range(producers)
    ] + [lambda i=i: consumer(share(consumers, i, times)) for i in range(consumers)]


def threads(producers, consumers, size, most, times):
    queue, answers, message = Queue(most), [], item(size)
    parts = sides(
        producers,
        consumers,
        times,
        # A copy, as the others hand over.
        lambda: queue.put(bytes(bytearray(message))),
        queue.get,
        answers.append,
    )
    took = join(*race(Thread, Barrier, parts))
    return took, sum(answers)


def by_processes(parts, answers, consumers):
    workers, start = race(fork.Process, fork.Barrier, parts)
    total = sum(answers.recv() for _ in range(consumers))
    took = perf_counter_ns() - start
    join(workers, start)
    return took, total


def processes(producers, consumers, size, most, times):
    queue, message = fork.Queue(most), item(size)
    answers, answer = fork.Pipe(duplex=False)
    parts = sides(
        producers, consumers, times, lambda: queue.put(message), queue.get, answer.send
    )
    return by_processes(parts, answers, consumers)


def pipe(producers, consumers, size, times):
    receiver, sender = fork.Pipe(duplex=False)
    message = item(size)
    answers, answer = fork.Pipe(duplex=False)
    put, get = (lambda: sender.send_bytes(message)), receiver.recv_bytes
    # Several at one end tear each other's messages, so Python needs a lock there.
    if producers > 1:
        put_lock = fork.Lock()

        def put():
            with put_lock:
                sender.send_bytes(message)

    if consumers > 1:
        get_lock = fork.Lock()

        def get():
            with get_lock:
                return receiver.recv_bytes()

    parts = sides(producers, consumers, times, put, get, answer.send)
    return by_processes(parts, answers, consumers)


def threads_round_trip(times):
    there, back, answers = Queue(1), Queue(1), []

    def ask():
        total = 0
        for _ in range(times):
            there.put(1)
            total += back.get()
        answers.append(total)

    def reply():
        for _ in range(times):
            back.put(there.get())

    took = join(*race(Thread, Barrier, [ask, reply]))
    return took, sum(answers)


def round_trip(rest, times, put, get, reply_get, reply_put):
    """Rests so many microseconds before each question. What is timed is from the
    question to the answer, and with no rest the whole."""
    answers, answer = fork.Pipe(duplex=False)

    def ask():
        total = took = 0
        for _ in range(times):
            if rest:
                sleep(rest / 1e6)
            start = perf_counter_ns()
            put()
            total += get()[-1]
            took += perf_counter_ns() - start
        answer.send((total, took))

    def reply():
        for _ in range(times):
            reply_put(reply_get())

    workers, start = race(fork.Process, fork.Barrier, [ask, reply])
    total, asked = answers.recv()
    took = perf_counter_ns() - start
    join(workers, start)
    return asked if rest else took, total


def pipe_round_trip(size, rest, times):
    here, there = fork.Pipe()
    message = item(size)
    return round_trip(
        rest,
        times,
        lambda: here.send_bytes(message),
        here.recv_bytes,
        there.recv_bytes,
        there.send_bytes,
    )


def processes_round_trip(size, rest, times):
    there, back, message = fork.Queue(), fork.Queue(), item(size)
    return round_trip(
        rest, times, lambda: there.put(message), back.get, there.get, back.put
    )
