"""The encoder on a GPU: Triton kernels, the device's encoder, and the resident step.

Nothing here is imported unless a device is asked for: Triton comes only with the CUDA build of torch. docs/gpu.md says
which kernel does what, and what was tested without a GPU. Under Triton's interpreter (`TRITON_INTERPRET=1`, set before
Triton is imported) the same code runs on CPU tensors, slowly; the tests use that on every machine.
"""
