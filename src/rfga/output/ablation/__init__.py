"""The table of an ablation: as page and as text."""
