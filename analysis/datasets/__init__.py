"""Datasets: token rows with a kind, a licence and a hash. No torch."""
