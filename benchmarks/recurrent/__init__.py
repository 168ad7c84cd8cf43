"""Recurrent text towers against the Transformer, at equal parameters and at equal time."""
