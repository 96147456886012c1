"""The engine's tensor work on a GPU: Triton kernels, the device's encoder, and the step that stays on the device.

Nothing here is imported unless a device is asked for: Triton comes with the CUDA build of torch only. What runs where,
and what was proven without a GPU, is in docs/gpu.md. Under Triton's interpreter (`TRITON_INTERPRET=1`, set before
anything imports Triton) the same code runs on CPU tensors, slowly: that is how the tests run it on every machine.
"""
