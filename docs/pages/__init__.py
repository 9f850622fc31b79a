"""The generated pages of docs/reference: each module makes the text of one or two of them."""
