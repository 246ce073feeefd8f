"""What Prometheus reads, as it understands it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

PREFIX = "claude_gateway_"


class Numbers:
    """The numbers in a *text* that Prometheus may read, by name and labels."""

    def __init__(self, text: str):
        families = text_string_to_metric_families(text)
        self.samples = [sample for family in families for sample in family.samples]

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of all numbers of this name that have these labels; 0 without any."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == PREFIX + name and labels.items() <= sample.labels.items()
        )

    def labels(self) -> set[str]:
        """Return every label's value, but for the bounds of histograms."""
        pairs = (pair for sample in self.samples for pair in sample.labels.items())
        return {value for name, value in pairs if name != "le"}
