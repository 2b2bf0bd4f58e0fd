"""The program: the command `nmt`, and `python -m nmt` for where that is not on the path."""

from nmt.signals import quiet_interrupts


def main() -> None:
    """Run the command line."""
    with quiet_interrupts():
        from nmt.cli import app
    app(prog_name="nmt")


if __name__ == "__main__":
    main()
