"""Differentiation: a graph with a loss gets the gradients of its parameters."""

from flowc.autodiff.reverse import differentiate

__all__ = ["differentiate"]
