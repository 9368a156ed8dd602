"""The OpenAPI document: what it is made from (openapi.py), its words (words.py), and what it says of errors."""
