"""Agreement with PyTorch: a table of cases, both sides of each, and what PyTorch said."""
