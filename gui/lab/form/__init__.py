"""A lab's parameters: a form made from its JSON Schema."""
