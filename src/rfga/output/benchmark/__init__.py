"""The table of a benchmark: as page, as text, beside the literature."""
