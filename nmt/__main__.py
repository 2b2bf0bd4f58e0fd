"""The program: the command `nmt`, and `python -m nmt` for where that is not on the path."""

import gc
import os
import sys

from nmt.signals import quiet_interrupts

# To look for plugins, pydantic would read the metadata of all installed packages.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def main() -> None:
    """Run the command line."""
    gc.set_threshold(50_000)  # imports create many objects, and few of them are garbage
    with quiet_interrupts():
        from nmt.cli import make_app

        app = make_app(sys.argv[1:])
    app(prog_name="nmt")


if __name__ == "__main__":
    main()
