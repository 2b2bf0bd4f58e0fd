"""The program: the command `nmt`, and `python -m nmt` for where that is not on the path."""

import atexit
import gc
import sys

from nmt.signals import quiet_interrupts


def main() -> None:
    """Run the command line."""
    # Start-up makes many objects and hardly any garbage. Looking for garbage less often, and not at
    # all on exit, saves a tenth of the time of `nmt translate` for one line.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    with quiet_interrupts():
        from nmt.cli import make_app

        app = make_app(sys.argv[1:])
    app(prog_name="nmt")


if __name__ == "__main__":
    main()
