"""A person looks at boxes on a local page, and corrects them."""
