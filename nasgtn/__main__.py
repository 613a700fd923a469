"""`python -m nasgtn` is the same as the `nasgtn` command."""

from nasgtn.cli.main import main

if __name__ == "__main__":
    main()
