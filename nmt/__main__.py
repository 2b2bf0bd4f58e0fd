"""`python -m nmt`, for where there is no `nmt` on the path."""

from nmt.cli import app

if __name__ == "__main__":
    app(prog_name="nmt")
