"""Tests of the product over HTTP, on a real PostgreSQL with the real migrations.

``make test`` runs all folders but service/ (whole gunicorn servers), documents/ (the commands of documentation pages)
and proofs/ (long proofs), which ``make proofs`` runs. support/ has no tests.
"""
