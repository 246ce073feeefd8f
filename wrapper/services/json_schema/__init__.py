"""JSON Schemas that callers write: whether they can be used, what the model gets, what fits."""
