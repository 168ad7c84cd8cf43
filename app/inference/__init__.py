"""What goes through the model, and what its numbers mean."""
