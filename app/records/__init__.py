"""What is known of a picture: its record, its name and its metadata."""
