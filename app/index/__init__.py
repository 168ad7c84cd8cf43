"""The nearest vectors, at one committed state of the catalog."""
