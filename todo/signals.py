"""What happens inside, for whoever counts it: nobody, unless metrics are switched on. Sent when it is rare."""

from blinker import Namespace

_signals = Namespace()

statement_repeated = _signals.signal("statement-repeated")
connection_lost = _signals.signal("connection-lost")
keys_fetched = _signals.signal("keys-fetched")  # with outcome: "fetched" or "failed"
request_limited = _signals.signal("request-limited")
