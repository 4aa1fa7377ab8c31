"""`python -m stackclip` is the command `stackclip`."""

from stackclip.cli import main

if __name__ == "__main__":
    main()
