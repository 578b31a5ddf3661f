"""Distinguishes out-of-memory errors, on a GPU or a CPU, from other errors."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a memory allocation failed; torch's CPU allocators raise plain RuntimeErrors for that."""
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
