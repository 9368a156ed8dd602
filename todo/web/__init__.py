"""HTTP code that any resource uses: it reads requests, writes responses and knows no resource."""
