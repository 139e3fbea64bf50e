"""The work of whole arrays. Runs in an interpreter of its own, since numpy starts threads
and would weigh on every fork."""
from functools import lru_cache

import numpy

from squares import timed


def squares(count, times):
    """Of each n below the count, the sum of the squares below n."""
    numbers = numpy.arange(count, dtype=numpy.uint64)

    def work():
        # Each modulo 2**64, as in Rust.
        return sum(int(numbers[:n] @ numbers[:n]) for n in range(count)) % 2**64

    return timed(work, times)


@lru_cache(maxsize=1)
def numbers(count):
    return numpy.arange(count, dtype=numpy.uint64)


def memory(count, times):
    array = numbers(count)
    return timed(lambda: int(array.sum()), times)
