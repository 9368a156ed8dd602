"""Tasks: the resource. models (the table), schemas (what comes in), queries (the SQL), routes (the operations)."""
