"""Built-in search spaces, one self-contained file each, meant to be read and copied."""
