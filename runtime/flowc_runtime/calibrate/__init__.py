"""Measuring on this host what kernels, copies and steps cost."""
