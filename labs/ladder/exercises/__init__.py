"""Kernels as the reader sees and edits them, each a file with ``launch``.

What stands between ``# [[ hint`` and ``# ]]`` is the solution: the skeleton has the hint instead.
"""
