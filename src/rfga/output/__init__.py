"""What people and other tools get to see: files, pages, pictures."""
