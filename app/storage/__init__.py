"""The data folder: originals on disk, and the catalog, which is the truth."""
