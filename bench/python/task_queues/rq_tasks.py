"""A task. Its result is kept for some minutes, as always here."""


def no_task(number):
    return number + 1
