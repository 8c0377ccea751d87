"""What the flags of all commands are made of."""
