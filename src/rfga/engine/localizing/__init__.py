"""Boxes are made here: one trained model, ready to use, on one photograph or on many as a stream."""
