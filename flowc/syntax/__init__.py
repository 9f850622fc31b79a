"""Text to Tree, and Tree to text."""
