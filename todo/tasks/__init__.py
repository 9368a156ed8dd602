"""Tasks: the resource. A request comes to routes, is read by schemas, and is answered by queries.

What they are made of: models and columns (the tables), fields and due (what comes in), folding (comparing text),
sorting and finding (the statements that list), writing (the statements that change), portability (all of a user's,
taken out and put back), seeding (made-up tasks).
"""
