"""The benchmark: so far its workloads, which asv_bench measures, and its peers."""
