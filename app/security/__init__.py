"""Who is trusted with what: keys, and the addresses of the internet."""
