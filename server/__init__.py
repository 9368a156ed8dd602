"""How gunicorn serves the application: its worker, its log, its metrics. Imports todo; todo never imports this."""
