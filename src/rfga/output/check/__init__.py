"""The page of a data check."""
