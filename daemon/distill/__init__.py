"""What a finished task teaches: by a model or by rules."""
