"""Something handed over, between threads and between processes."""
from queue import Queue
from time import perf_counter_ns, sleep

from race import by_processes, by_threads, fork, share


def item(size):
    return bytes(size - 1) + b"\1"


def sides(producers, consumers, times, put, get):
    def producer(count):
        for _ in range(count):
            put()

    def consumer(count):
        return sum(get()[-1] for _ in range(count))

    return [
        lambda i=i: producer(share(producers, i, times)) for i in range(producers)
    ] + [lambda i=i: consumer(share(consumers, i, times)) for i in range(consumers)]


def threads(producers, consumers, size, most, times):
    queue, message = Queue(most), item(size)
    # A copy, as the others hand over.
    put = lambda: queue.put(bytes(bytearray(message)))
    return by_threads(sides(producers, consumers, times, put, queue.get))


def processes(producers, consumers, size, most, times):
    queue, message = fork.Queue(most), item(size)
    put = lambda: queue.put(message)
    return by_processes(sides(producers, consumers, times, put, queue.get))


def pipe(producers, consumers, size, times):
    receiver, sender = fork.Pipe(duplex=False)
    message = item(size)
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

    return by_processes(sides(producers, consumers, times, put, get))


def threads_round_trip(times):
    there, back = Queue(1), Queue(1)

    def ask():
        total = 0
        for _ in range(times):
            there.put(1)
            total += back.get()
        return total

    def reply():
        for _ in range(times):
            back.put(there.get())

    return by_threads([ask, reply])


def round_trip(rest, times, put, get, reply_get, reply_put):
    """Rests so many microseconds before each question. What is timed is from the
    question to the answer, and with no rest the whole."""
    asked = fork.RawValue("Q", 0)

    def ask():
        total = took = 0
        for _ in range(times):
            if rest:
                sleep(rest / 1e6)
            start = perf_counter_ns()
            put()
            total += get()[-1]
            took += perf_counter_ns() - start
        asked.value = took
        return total

    def reply():
        for _ in range(times):
            reply_put(reply_get())

    took, total = by_processes([ask, reply])
    return asked.value if rest else took, total


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
