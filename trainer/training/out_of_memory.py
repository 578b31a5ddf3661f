"""Tells a lack of memory, on a GPU or a CPU, from every other error."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether allocating memory is what failed; torch's CPU allocators raise plain RuntimeErrors for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _CPU_WORDS)


_CPU_WORDS = (
    "can't allocate memory",  # c10's allocator on Linux
    "not enough memory",  # the same elsewhere
    "could not create a memory object",  # oneDNN's
    "could not create a primitive",  # oneDNN generating code for a kernel
    "std::bad_alloc",
)
