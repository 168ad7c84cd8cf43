"""What the service does, without HTTP: pictures are added, changed, found, checked and copied."""
