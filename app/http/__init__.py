"""What requests and answers have in common, whatever route it is."""
