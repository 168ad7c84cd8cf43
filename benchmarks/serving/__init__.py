"""Services under load: collections to search, servers to start and stop, clients that ask without a pause."""
