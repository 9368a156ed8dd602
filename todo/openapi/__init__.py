"""The OpenAPI document (document.py, errors.py, texts.py), and a page that shows it (page/)."""
