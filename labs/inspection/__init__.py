"""Looking into Triton kernels without a GPU: what is launched, what it touches, what is made of it.

``launches`` records what a call would launch, ``interpreted`` every load, store and dot of a call in Triton's
interpreter, ``compiled`` makes machine code for any target. ``process`` does these in a child process.
"""
