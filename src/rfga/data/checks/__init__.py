"""What is wrong with photographs and their truth."""
