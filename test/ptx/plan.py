"""The launches that the add-on would encode, from its own native/metal/norm_plan.cc (build/ptx/plan.so, made by compile.sh)."""
import ctypes as C
import json
import os

from driver import PTX, function

SIZE = {'float32': 4, 'float16': 2, 'bfloat16': 2}
TYPE = {'float32': 0, 'float16': 1, 'bfloat16': 2}
WEIGHT, NORM, SCALE = 0, 1, 2

library = C.CDLL(os.path.join(PTX, 'plan.so'))
Limit = C.CFUNCTYPE(C.c_uint32, C.c_char_p, C.c_char_p)
for name, arguments in (('plan_norm', [C.POINTER(C.c_int64), C.c_int, C.c_uint32, C.c_int, C.c_int, C.c_double, C.c_uint32, Limit]),
                        ('plan_backward', [C.POINTER(C.c_int64), C.c_int, C.c_uint32, C.c_int, C.c_int, C.c_double, Limit]),
                        ('plan_scales', [C.POINTER(C.c_int64), C.c_int, C.c_int, C.c_int, C.c_double, Limit])):
    getattr(library, name).restype = C.c_char_p
    getattr(library, name).argtypes = arguments


@Limit
def limit(library_name, kernel):
    return function(library_name.decode(), kernel.decode()).max_threads


def numbers(values):
    return (C.c_int64 * len(values))(*values)


def unset(eps):
    return float('nan') if eps is None else eps


def ceil_div(a, b):
    return -(-a // b)


def norm_launches(shape, reduce, dtype, g_type, eps=None, output=WEIGHT):
    """Buffers v, g, w, statistic and, where there are two dispatches, partial."""
    return json.loads(library.plan_norm(numbers(shape), len(shape), reduce, TYPE[dtype], TYPE[g_type], unset(eps), output, limit))


def backward_launches(shape, reduce, dtype, g_type, eps=None):
    """Buffers gradW, v, g, gradV, gradG and, where there are two dispatches, partial."""
    return json.loads(library.plan_backward(numbers(shape), len(shape), reduce, TYPE[dtype], TYPE[g_type], unset(eps), limit))


def scale_launch(weights, dtype, g_type, eps=None):
    """weights: (v address, g address, scale address, rows, columns), as many as one dispatch takes."""
    return json.loads(library.plan_scales(numbers([n for w in weights for n in w]), len(weights), TYPE[dtype], TYPE[g_type], unset(eps), limit))


def name_of(plan):
    return plan['dispatches'][0]['kernel']


def run(plan, memory, stream=0):
    """memory: name -> address; a missing name is bound as `none`."""
    for d in plan['dispatches']:
        buffers = {i: memory.get(n, memory['none']) for i, n in enumerate(d['buffers'])}
        function(d['library'], d['kernel']).launch(d['groups'], d['threads'], buffers, bytes.fromhex(d['value']), d['board'], stream)


def run_scales(launch, stream=0):
    function('scale', launch['kernel']).launch((launch['groups'],), launch['threads'], {}, bytes.fromhex(launch['value']), 0, stream)
