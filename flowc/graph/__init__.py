"""The intermediate representation: Node, Graph, and how to build, check and print them."""
