"""The one style: how nodes are written, and where lines break."""
