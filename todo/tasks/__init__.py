"""Tasks, a resource. A request goes to routes.py, is validated by schemas.py, and runs a statement of queries.py.

models.py has the tables, resource.py the fields of a task, fields.py and due.py the kinds of value, listing.py the
filters and orders. Commands use portability.py (export and import) and samples.py.
"""
