"""Statements about the product, over HTTP, on a real PostgreSQL that the migrations made."""
