"""How a lesson changes the skills of a space: by a model or by rules."""
