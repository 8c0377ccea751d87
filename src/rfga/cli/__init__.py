"""The command line: parsing and printing, nothing else. One file a command."""

from rfga.cli.main import main

__all__ = ["main"]
