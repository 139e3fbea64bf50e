"""Something handed over, between threads and between processes."""
from queue import Queue, SimpleQueue
from time import perf_counter_ns, sleep

from race import Race, fork, share


def item(size):
    return bytes(size - 1) + b"\1"


def hand_over(by, placement, producers, consumers, times, put, get):
    """Has the producers put and the consumers get the items, each its share."""

    def producer(i):
        def part(times):
            for _ in range(share(producers, i, times)):
                put()

        return part

    def consumer(i):
        def part(times):
            return sum(get()[-1] for _ in range(share(consumers, i, times)))

        return part

    parts = [producer(i) for i in range(producers)]
    parts += [consumer(i) for i in range(consumers)]
    # Enough for each side to have put or got some: the feeder threads run then.
    race = Race(placement, 16 * max(producers, consumers))
    return getattr(race, by)(times, parts)


def in_threads(queue, placement, producers, consumers, size, times):
    view = memoryview(item(size))
    # One copy, as the others make.
    put = lambda: queue.put(bytes(view))
    sides = placement, producers, consumers
    return hand_over("by_threads", *sides, times, put, queue.get)


def threads(placement, producers, consumers, size, most, times):
    return in_threads(Queue(most), placement, producers, consumers, size, times)


def simple_threads(placement, producers, consumers, size, times):
    return in_threads(SimpleQueue(), placement, producers, consumers, size, times)


def in_processes(queue, placement, producers, consumers, size, times):
    message = item(size)
    put = lambda: queue.put(message)
    sides = placement, producers, consumers
    return hand_over("by_processes", *sides, times, put, queue.get)


def processes(placement, producers, consumers, size, most, times):
    queue = fork.Queue(most)
    return in_processes(queue, placement, producers, consumers, size, times)


def simple_processes(placement, producers, consumers, size, times):
    queue = fork.SimpleQueue()
    return in_processes(queue, placement, producers, consumers, size, times)


def pipe(placement, producers, consumers, size, times):
    receiver, sender = fork.Pipe(duplex=False)
    message = item(size)
    put, get = (lambda: sender.send_bytes(message)), receiver.recv_bytes
    # Several processes at one end tear each other's messages, so Python needs a lock
    # there.
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

    sides = placement, producers, consumers
    return hand_over("by_processes", *sides, times, put, get)


def between_threads(there, back, placement, times):
    def ask(times):
        total = 0
        for _ in range(times):
            there.put(1)
            total += back.get()
        return total

    def reply(times):
        for _ in range(times):
            back.put(there.get())

    return Race(placement, 100).by_threads(times, [ask, reply])


def threads_round_trip(placement, times):
    return between_threads(Queue(1), Queue(1), placement, times)


def simple_threads_round_trip(placement, times):
    return between_threads(SimpleQueue(), SimpleQueue(), placement, times)


def round_trip(placement, rest, times, put, get, reply_get, reply_put):
    """Rests for a number of microseconds before each question. What is timed is from the
    question to the answer; without a rest it is the whole. After a rest there is one
    question more, untimed, so that no answer comes from a process that is about to end."""
    asked = fork.RawValue("Q", 0)

    def ask(times):
        total = took = 0
        for _ in range(times):
            if not rest:
                put()
                total += get()[-1]
                continue
            sleep(rest / 1e6)
            start = perf_counter_ns()
            put()
            total += get()[-1]
            took += perf_counter_ns() - start
        if rest:
            put()
            get()
        asked.value = took
        return total

    def reply(times):
        for _ in range(times + bool(rest)):
            reply_put(reply_get())

    race = Race(placement, 2 if rest else 100)
    took, total = race.by_processes(times, [ask, reply])
    return asked.value if rest else took, total


def pipe_round_trip(placement, size, rest, times):
    here, there = fork.Pipe()
    message = item(size)
    return round_trip(
        placement,
        rest,
        times,
        lambda: here.send_bytes(message),
        here.recv_bytes,
        there.recv_bytes,
        there.send_bytes,
    )


def through(there, back, placement, size, rest, times):
    message = item(size)
    put = lambda: there.put(message)
    return round_trip(placement, rest, times, put, back.get, there.get, back.put)


def processes_round_trip(placement, size, rest, times):
    return through(fork.Queue(), fork.Queue(), placement, size, rest, times)


def simple_processes_round_trip(placement, size, rest, times):
    there, back = fork.SimpleQueue(), fork.SimpleQueue()
    return through(there, back, placement, size, rest, times)
