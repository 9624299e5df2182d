"""The tasks there are: how their rows are made, and which features tell them apart. No torch."""
