"""Metrics, as Prometheus parses them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

PREFIX = "claude_gateway_"


class Numbers:
    """The samples in a *text* of metrics, by name and labels."""

    def __init__(self, text: str):
        families = text_string_to_metric_families(text)
        self.samples = [sample for family in families for sample in family.samples]

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of all samples with this name and these labels, 0 if there are none."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == PREFIX + name and labels.items() <= sample.labels.items()
        )

    def labels(self) -> set[str]:
        """Return the values of all labels except the bounds of histograms."""
        pairs = (pair for sample in self.samples for pair in sample.labels.items())
        return {value for name, value in pairs if name != "le"}
