"""Jobs for the offload that take longer than any limit."""

from wrapper.services.background.offload.runner import Job


def endless_job(seconds=0.2, **more):
    """Return a check whose JSON Schema takes exponential time."""
    definitions = [
        f'"d{n}": {{"allOf": [{{"$ref": "#/$defs/d{n + 1}"}}, {{"$ref": "#/$defs/d{n + 1}"}}]}}'
        for n in range(60)
    ]
    schema = f'{{"$ref": "#/$defs/d0", "$defs": {{{", ".join(definitions)}, "d60": true}}}}'
    return Job("check", schema.encode() + b"{}", seconds, {"size": len(schema)}, **more)
