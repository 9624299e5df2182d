"""What can be read from the weights of a model, without running it."""
