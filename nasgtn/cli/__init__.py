"""The `nasgtn` command: parse, call one function, print."""
