"""Does the pieces of work that it is asked for, one line a request:

    module.function argument... times

and answers with the nanoseconds that it took and the sum of the answers. A piece is a
function of this folder that takes the arguments and returns that pair. If an import
fails, the answer is "absent" and why; if anything else does, it is the error.
"""
import sys


def prepare():
    """However the bench ends, nothing of it stays behind: this process and what it forks
    end with their parents."""
    import ctypes
    import os
    import signal

    # Both are looked up once, so that a fork takes no more than the system call.
    prctl = ctypes.CDLL(None).prctl
    arguments = 1, int(signal.SIGKILL)  # PR_SET_PDEATHSIG

    def end_with_parent():
        prctl(*arguments)

    end_with_parent()
    os.register_at_fork(after_in_child=end_with_parent)
    # Ctrl+C reaches the bench too, which ends.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def argument(text):
    return int(text) if text.isdecimal() else text


def main():
    import importlib

    prepare()
    # What a piece prints must not be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        call, *arguments = line.split()
        module, function = call.split(".")
        try:
            piece = getattr(importlib.import_module(module), function)
            nanoseconds, total = piece(*map(argument, arguments))
            print(nanoseconds, total % 2**64, file=answers, flush=True)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            if isinstance(error, ImportError):
                text = f"absent {text}"
            print(text, file=answers, flush=True)


if __name__ == "__main__":
    main()
