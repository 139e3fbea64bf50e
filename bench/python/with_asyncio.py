"""Something handed over between the tasks of one thread. Runs in an interpreter of its
own, since what it imports would weigh on every fork."""
import asyncio
from time import perf_counter_ns

from queues import item
from race import share


def run(work):
    """The nanoseconds that the work takes within the event loop, and its answer."""

    async def main():
        start = perf_counter_ns()
        total = await work()
        return perf_counter_ns() - start, total

    return asyncio.run(main())


def hand_over(placement, producers, consumers, size, most, times):
    # One thread needs no placement.
    view = memoryview(item(size))

    async def work():
        queue = asyncio.Queue(most)

        async def producer(i):
            for _ in range(share(producers, i, times)):
                await queue.put(bytes(view))
            return 0

        async def consumer(i):
            total = 0
            for _ in range(share(consumers, i, times)):
                total += (await queue.get())[-1]
            return total

        tasks = [producer(i) for i in range(producers)]
        tasks += [consumer(i) for i in range(consumers)]
        return sum(await asyncio.gather(*tasks))

    return run(work)


def round_trip(times):
    async def work():
        there, back = asyncio.Queue(1), asyncio.Queue(1)

        async def ask():
            total = 0
            for _ in range(times):
                await there.put(1)
                total += await back.get()
            return total

        async def reply():
            for _ in range(times):
                await back.put(await there.get())
            return 0

        return sum(await asyncio.gather(ask(), reply()))

    return run(work)
