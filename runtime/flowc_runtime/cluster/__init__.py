"""A training over several tasks: what each of them computes, holds and sends, and how they meet."""

import os

# gRPC reads this when it is first imported; at its own choice it tells of every closed connection.
# What goes wrong is raised as well, and told in words that say what to do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
