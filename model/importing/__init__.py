"""Checkpoints from elsewhere made into model folders: `python -m model import`. Offline; nothing here serves."""
