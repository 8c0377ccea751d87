"""Which value cuts a score map into object and background, and where it comes from."""
