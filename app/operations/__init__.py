"""What those who run the service look at: logs, metrics, bars."""
