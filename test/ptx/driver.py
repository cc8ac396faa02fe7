"""CUDA's driver API through ctypes: modules from PTX, exactly sized buffers, launches with Metal's argument tables."""
import ctypes as C
import os

import numpy as np

cuda = C.CDLL('libcuda.so.1')
PTX = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'build', 'ptx')


def call(name, *arguments):
    result = getattr(cuda, name)(*arguments)
    if result:
        text = C.c_char_p()
        cuda.cuGetErrorString(result, C.byref(text))
        raise RuntimeError(f'{name}: {text.value.decode() if text.value else result}')


def start():
    """A context on the first GPU: the primary one, which torch shares."""
    call('cuInit', 0)
    device, context = C.c_int(), C.c_void_p()
    call('cuDeviceGet', C.byref(device), 0)
    call('cuDevicePrimaryCtxRetain', C.byref(context), device)
    call('cuCtxSetCurrent', context)


class Arguments(C.Structure):
    _fields_ = [('buffer', C.c_void_p * 16), ('bytes', C.c_char * 3968)]


class Function:
    def __init__(self, handle):
        self.handle = handle
        value = C.c_int()
        call('cuFuncGetAttribute', C.byref(value), 0, handle)  # CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK
        limit = os.environ.get('PTX_MAX_THREADS')
        self.max_threads = min(value.value, int(limit)) if limit else value.value

    def launch(self, grid, block, buffers, value=b'', shared=0, stream=0):
        arguments = Arguments()
        for index, pointer in buffers.items():
            arguments.buffer[index] = pointer
        C.memmove(C.addressof(arguments) + Arguments.bytes.offset, value, len(value))
        parameters = (C.c_void_p * 1)(C.addressof(arguments))
        grid = tuple(grid) + (1,) * (3 - len(grid))
        call('cuLaunchKernel', self.handle, *grid, block, 1, 1, shared, C.c_void_p(stream), parameters, None)


class Library:
    def __init__(self, name, constants):
        """`constants`: (type character of struct, value) by the name of the function constant."""
        import struct
        with open(os.path.join(PTX, name + '.ptx'), 'rb') as file:
            text = file.read() + b'\0'
        self.module = C.c_void_p()
        call('cuModuleLoadData', C.byref(self.module), C.c_char_p(text))
        for constant, (kind, value) in constants.items():
            pointer, size = C.c_uint64(), C.c_size_t()
            if cuda.cuModuleGetGlobal_v2(C.byref(pointer), C.byref(size), self.module, constant.encode()):
                continue  # unused by this library
            data = struct.pack(kind, value)
            call('cuMemcpyHtoD_v2', pointer, C.c_char_p(data), C.c_size_t(len(data)))
        self.functions = {}

    def function(self, name):
        if name not in self.functions:
            handle = C.c_void_p()
            call('cuModuleGetFunction', C.byref(handle), self.module, name.encode())
            self.functions[name] = Function(handle)
        return self.functions[name]


libraries = {}


def function(library, name, constants=None):
    key = (library, tuple(sorted((constants or {}).items())))
    if key not in libraries:
        libraries[key] = Library(library, constants or {})
    return libraries[key].function(name)


class Buffer:
    """Device memory of exactly an array's size, so that a checker sees every byte outside it."""

    def __init__(self, array):
        self.array = np.ascontiguousarray(array)
        self.pointer = C.c_uint64()
        call('cuMemAlloc_v2', C.byref(self.pointer), C.c_size_t(max(1, self.array.nbytes)))
        call('cuMemcpyHtoD_v2', self.pointer, self.array.ctypes.data_as(C.c_void_p), C.c_size_t(self.array.nbytes))

    def get(self):
        call('cuMemcpyDtoH_v2', self.array.ctypes.data_as(C.c_void_p), self.pointer, C.c_size_t(self.array.nbytes))
        return self.array

    def __del__(self):
        cuda.cuMemFree_v2(self.pointer)


def synchronize():
    call('cuCtxSynchronize')
