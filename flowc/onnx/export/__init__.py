"""Graphs to ONNX: node by node, sizes that depend on the batch computed from an input's shape."""
