"""Webhooks: signed events that the gateway posts to the URLs of keys and of the operator.

- `Webhooks` (service.py) is what others use: `announce` an event, list `deliveries`.
- event.py has the table of all types, and `Delivery`: one event for one recipient.
- endpoint.py finds the URL and the secret of a recipient, in API_KEYS_FILE or the settings.
- store.py, sqlite_store.py and redis_store.py keep deliveries. A delivery is claimed with a lease,
  so that one of several workers attempts it, and another does if that worker dies.
- dispatcher.py stores what was announced and attempts what is due; thread.py runs it in a thread.
- attempt.py says what follows from an attempt, sender.py makes it, and signature.py signs it.
"""
