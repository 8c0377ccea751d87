"""The mission in one command: check, train, measure, localize, export."""
