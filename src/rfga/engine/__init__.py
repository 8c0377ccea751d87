"""One room for each job; a job may reach down to another, never up (``tests/test_layers.py``)."""
