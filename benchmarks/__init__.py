"""How fast this machine encodes and searches: `make bench`."""
