"""Does the pieces of work that it is asked for, one line a request:

    module.function argument... times

and answers with the nanoseconds that it took and the sum of what came out. A piece is
a function of this folder that takes the arguments and returns that pair.
"""
import ctypes
import importlib
import os
import platform
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent():
    """Whatever becomes of the bench, nothing of it stays behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def argument(text):
    return int(text) if text.isdecimal() else text


def main():
    end_with_parent()
    os.register_at_fork(after_in_child=end_with_parent)
    # Ctrl+C is told to the bench, which ends us.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What a piece prints must not be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    name = f"{platform.python_implementation()} {platform.python_version()}"
    print(name if gil else f"{name} free-threaded", file=answers, flush=True)
    for line in sys.stdin:
        call, *arguments = line.split()
        module, function = call.split(".")
        try:
            piece = getattr(importlib.import_module(module), function)
            nanoseconds, total = piece(*map(argument, arguments))
            print(nanoseconds, total % 2**64, file=answers, flush=True)
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())
            print(told, file=answers, flush=True)


if __name__ == "__main__":
    main()
