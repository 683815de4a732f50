"""`python -m worldloom` is the command `worldloom`."""

from worldloom.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
