"""What a batch of messages says about the tasks of its session: by a model or by rules."""
