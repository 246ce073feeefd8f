"""JSON Schemas whose check against an answer takes exponential time."""

OBJECT = {"type": "object"}
ITEMS = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}
# Pairs of a schema and an answer.
COSTLY = [
    (
        {
            **OBJECT,
            "$defs": {"a": {"anyOf": [{"type": "integer"}, ITEMS]}},
            "properties": {"x": {"$ref": "#/$defs/a"}},
        },
        '{"x": ' + "[" * 60 + '""' + "]" * 60 + "}",
    ),
]
