"""The commands of `python -m app`, a module each: `configure` declares its arguments, `run` gives the exit status."""
