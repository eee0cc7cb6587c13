"""Benchmarks of fastconv for asv: how to run them is in the README next door."""
