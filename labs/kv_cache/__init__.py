"""What the KV cache visualiser runs and shows: requests on the real engine, occupancy, no cache at all."""
