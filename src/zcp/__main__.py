"""The command `zcp`, also as `python -m zcp`: Ctrl-C ends it with status 130, and never with a traceback."""

import os
import signal
import sys

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command line.

    Its imports take seconds. Until they are done nothing can be lost, and Ctrl-C ends the process at once, so
    that no library which is half imported hears of it.
    """
    # What was started to ignore Ctrl-C, such as a job in the background of a script, goes on ignoring it.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from zcp.cli import main as run

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # A second one must not interrupt the end.


if __name__ == "__main__":
    main()
