"""A training over several tasks: what each of them computes, holds and sends, and how they meet."""
