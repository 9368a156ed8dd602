"""Database code that any resource uses: it sends statements as a user and knows no resource."""
