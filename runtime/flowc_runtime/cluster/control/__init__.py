"""The control plane: messages on the wire, both ends of a conversation, and who may hold one."""
