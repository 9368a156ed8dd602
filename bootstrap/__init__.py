"""What `make` runs before any package is installed. Only the standard library is there, so nothing else is imported."""
