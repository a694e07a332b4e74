"""FlashAttention looked at closely: walked through on real numbers, its traffic counted, timed, compiled."""
