"""ONNX in and out: a model of others as `.flow` text with weights, and the way back."""
