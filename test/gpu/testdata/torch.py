"""As much of PyTorch as the lane's matmul takes, on the fake driver: small tensors, and devices that are those of libcuda."""
import ctypes
import random
import types

__version__ = "0.fake"
version = types.SimpleNamespace(cuda="0.fake")


def _driver():
    library = ctypes.CDLL("libcuda.so.1")
    code = library.cuInit(0)
    if code != 0:
        raise RuntimeError("cuInit: error %d" % code)
    return library


def _count():
    count = ctypes.c_int()
    _driver().cuDeviceGetCount(ctypes.byref(count))
    return count.value


cuda = types.SimpleNamespace(device_count=_count, get_device_name=lambda index: "fake %d" % index)


class Tensor:
    def __init__(self, rows):
        self.rows = rows

    def cuda(self):
        _driver()
        return self

    def cpu(self):
        return self

    def __matmul__(self, other):
        return Tensor([[sum(a * b for a, b in zip(row, column)) for column in zip(*other.rows)] for row in self.rows])

    def __sub__(self, other):
        return Tensor([[a - b for a, b in zip(row, line)] for row, line in zip(self.rows, other.rows)])

    def abs(self):
        return Tensor([[abs(a) for a in row] for row in self.rows])

    def max(self):
        return max(max(row) for row in self.rows)


def randn(*shape):
    return Tensor([[random.gauss(0, 1) for _ in range(8)] for _ in range(8)])
