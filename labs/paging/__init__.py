"""What the PagedAttention lab runs: block size against waste and speed, and copies on write."""
