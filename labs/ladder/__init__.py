"""The kernel ladder: one Triton kernel at a time, from vector addition to paged attention, looked into.

``exercises/`` holds the kernels as the reader sees them, ``exercise`` what each has to compute; ``sandbox``
runs and compiles a text in a child process; the ``*_views`` make results of what was found.
"""
