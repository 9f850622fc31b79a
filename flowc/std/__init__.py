"""The standard library, in .flow text."""
