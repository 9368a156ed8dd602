"""Proofs that take minutes and start, kill and restart whole servers."""
