"""The program: the command `nmt`, and `python -m nmt` for where that is not on the path."""

import sys

from nmt.signals import quiet_interrupts


def main() -> None:
    """Run the command line."""
    with quiet_interrupts():
        from nmt.cli import make_app

        app = make_app(sys.argv[1:])
    app(prog_name="nmt")


if __name__ == "__main__":
    main()
