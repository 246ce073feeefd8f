"""What is measured, as ratios and counts; run from the repository's root."""
