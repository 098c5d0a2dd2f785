"""`python -m zcp` is the command `zcp`."""

from zcp.cli import main

if __name__ == "__main__":
    main()
