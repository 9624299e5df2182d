"""Mergeable accumulators: partial results of shards that add up to the result of the whole."""
