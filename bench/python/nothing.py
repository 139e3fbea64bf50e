"""What a worker does that is only started. A spawned process imports no more than this."""


def nothing():
    pass
