"""Signals of rare events, which the metrics count if they are enabled."""

from blinker import Namespace

_signals = Namespace()

statement_repeated = _signals.signal("statement-repeated")
connection_lost = _signals.signal("connection-lost")
keys_fetched = _signals.signal("keys-fetched")  # with outcome: "fetched" or "failed"
request_limited = _signals.signal("request-limited")
