"""The labs from a shell: ``python -m labs list | describe ID | run ID --parameter value``."""

from __future__ import annotations

import os
import sys

from labs.command_line import crashed, main
from labs.own_process import in_own_process

if __name__ == "__main__":
    # Threads of a busy machine must not spin; read once, when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(in_own_process(lambda: main(sys.argv[1:]), crashed))
