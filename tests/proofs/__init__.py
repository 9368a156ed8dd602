"""Proofs that take long, with whole servers started, killed and started again: ``make proofs``."""
