"""What a prefix cache spares: conversations on the real engine, request traces in the simulator."""
