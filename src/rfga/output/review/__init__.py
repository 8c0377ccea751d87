"""The sheet of the boxes that deserve a person's look first."""
