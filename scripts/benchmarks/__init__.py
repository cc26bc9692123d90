"""What scripts/bench runs: peers, workloads, and the tables and pictures made of their figures."""
