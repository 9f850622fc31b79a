"""Views: models, plans and checkpoints as tables, text and pictures for people."""
