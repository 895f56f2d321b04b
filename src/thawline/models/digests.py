"""Checksums of tensors. They prove that frozen weights and buffers did not change."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

Digests = dict[str, str]  # tensor name -> SHA-256, 64 hex digits


def digest(name: str, tensor: Tensor) -> str:
    """SHA-256 over name, type, shape and bytes; equal only for bitwise equal tensors (-0.0 differs from 0.0)."""
    sha = hashlib.sha256(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    sha.update(raw.numpy().data)
    return sha.hexdigest()


def digests(tensors: Mapping[str, Tensor]) -> Digests:
    """One checksum per tensor."""
    return {name: digest(name, tensor) for name, tensor in tensors.items()}


def combined(parts: Mapping[str, str]) -> str:
    """One checksum over several; their order has no effect."""
    lines = sorted(f"{name}={value}\n" for name, value in parts.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """One checksum over tensors, such as a state dict."""
    return combined(digests(tensors))


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names in `before` whose checksum differs in `after`, or is missing there."""
    return [name for name, value in before.items() if after.get(name) != value]
