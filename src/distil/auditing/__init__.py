"""What is odd about a pool, before labels are paid for."""
