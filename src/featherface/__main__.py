"""`python -m featherface`: the same as the command `featherface`."""

from featherface.cli import main

if __name__ == "__main__":
    main()
