"""Devices that this machine does not have, described; what is decided for them is tested on a CPU."""

from thawline.machine.device import Device

LAPTOP = Device("cpu", "a laptop's CPU", 8)
BF16_CPU = Device("cpu", "a CPU with AVX512-bf16", 16, avx512_bf16=True)
GTX_1080 = Device("cuda", "GTX 1080", 8, capability=(6, 1), memory_bytes=8 * 10**9)
V100 = Device("cuda", "V100", 8, capability=(7, 0), memory_bytes=16 * 10**9)
T4 = Device("cuda", "T4", 4, capability=(7, 5), memory_bytes=16 * 10**9)
A100 = Device("cuda", "A100", 12, capability=(8, 0), memory_bytes=40 * 10**9)
H100 = Device("cuda", "H100", 16, capability=(9, 0), memory_bytes=80 * 10**9)
M2 = Device("mps", "Apple M2", 8, memory_bytes=16 * 10**9)
DEVICES = (LAPTOP, BF16_CPU, GTX_1080, V100, T4, A100, H100, M2)
