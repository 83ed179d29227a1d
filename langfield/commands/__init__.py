"""One file per command of `langfield`; each is a typed function that `cli.py` turns into a command line."""
