"""What is let in, how much of it at a time, and for how long."""
