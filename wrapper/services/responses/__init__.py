"""The stored responses: what a later request may continue, and where it is kept."""
