"""Tree to Graph: names, blocks and calls become typed nodes."""
