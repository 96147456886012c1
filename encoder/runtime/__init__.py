"""The cached encoder: prefix, tail, paged K/V cache."""
