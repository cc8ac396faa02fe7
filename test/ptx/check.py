"""Every kernel of ours on the GPU against float64, with outputs full of NaN beforehand. numpy only, so that compute-sanitizer sees nothing else.

    python3 check.py [--quick]     exit code 1 on any mismatch; --quick takes the smallest set that reaches every kernel
"""
import math
import struct
import sys

import numpy as np

import plan
from driver import Buffer, function, start, synchronize

QUICK = '--quick' in sys.argv
random = np.random.default_rng(0)
passed = failed = 0


def check(ok, what):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print('FAILED', what)


def store(x, dtype):
    if dtype == 'float32':
        return np.asarray(x, np.float32)
    if dtype == 'float16':
        return np.asarray(x, np.float16)
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def load(x, dtype):
    return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64) if dtype == 'bfloat16' else x.astype(np.float64)


def poison(shape, dtype):
    return np.full(shape, 0x7FC1, np.uint16) if dtype == 'bfloat16' else np.full(shape, np.nan, np.float32 if dtype == 'float32' else np.float16)


def ulp(x, dtype):
    digits, least = {'float32': (24, -126), 'float16': (11, -14), 'bfloat16': (8, -126)}[dtype]
    _, exponent = np.frexp(np.abs(x))
    return np.ldexp(1.0, np.maximum(exponent - 1, least) - digits + 1)


def worst(got, want, dtype):
    error = np.abs(got - want) / ulp(want, dtype)
    return np.inf if np.isnan(error).any() else error.max()


def partial_of(launches):
    return Buffer(np.full(max(16, launches['partial']), 0xFF, np.uint8))


def weight_norm(shape, reduce, dtype, g_type, values=None, eps=None):
    axes = tuple(i for i in range(len(shape)) if reduce >> i & 1)
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    v = store(random.standard_normal(shape) if values is None else values, dtype)
    g = store(random.random(kept) + 0.5, g_type)
    bv, bg, bw, bn, bs = Buffer(v), Buffer(g), Buffer(poison(shape, dtype)), Buffer(poison(kept, 'float32')), Buffer(poison(kept, 'float32'))
    for output, result in ((plan.WEIGHT, None), (plan.NORM, bn), (plan.SCALE, bs)):
        launches = plan.norm_launches(shape, reduce, dtype, g_type, eps, output)
        partial = partial_of(launches)
        plan.run(launches, {'v': bv.pointer.value, 'g': bg.pointer.value, 'w': bw.pointer.value, 'partial': partial.pointer.value,
                            'statistic': (result or bn).pointer.value, 'none': bv.pointer.value})
        synchronize()
    x, gain = load(v, dtype), load(g, g_type)
    n = np.sqrt((x * x).sum(axis=axes, keepdims=True))
    name = f'{shape} mask {reduce} {dtype} g {g_type} eps {eps}: {plan.name_of(launches)}'
    check(worst(bn.get().astype(np.float64), n, 'float32') <= 4, 'norm ' + name)
    m = n if eps is None else np.maximum(n, eps)
    scale = np.where(n == 0, 0, gain / np.where(m == 0, 1, m)) if eps is None else gain / m
    check(worst(bs.get().astype(np.float64), scale, 'float32') <= 4, 'scale ' + name)
    check(worst(load(bw.get(), dtype), x * scale, dtype) <= (4 if dtype == 'float32' else 1), 'weightNorm ' + name)


def backward(shape, reduce, dtype):
    axes = tuple(i for i in range(len(shape)) if reduce >> i & 1)
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    d, v, g = store(random.standard_normal(shape), dtype), store(random.standard_normal(shape), dtype), store(random.random(kept) + 0.5, dtype)
    bd, bv, bg, bdv, bdg = Buffer(d), Buffer(v), Buffer(g), Buffer(poison(shape, dtype)), Buffer(poison(kept, dtype))
    launches = plan.backward_launches(shape, reduce, dtype, dtype)
    partial = partial_of(launches)
    plan.run(launches, {'gradW': bd.pointer.value, 'v': bv.pointer.value, 'g': bg.pointer.value, 'gradV': bdv.pointer.value,
                        'gradG': bdg.pointer.value, 'partial': partial.pointer.value, 'none': bv.pointer.value})
    synchronize()
    d, v, g = load(d, dtype), load(v, dtype), load(g, dtype)
    n = np.sqrt((v * v).sum(axis=axes, keepdims=True))
    s = (v * d).sum(axis=axes, keepdims=True)
    want = g / n * (d - v / n * (s / n))
    unit = ulp(np.maximum(np.abs(want), (g / n * np.abs(d)).max(axis=axes, keepdims=True) if axes else np.abs(g / n * d)), dtype)
    name = f'{shape} mask {reduce} {dtype}: {plan.name_of(launches)}'
    error = np.abs(load(bdv.get(), dtype) - want) / unit
    check(not np.isnan(error).any() and error.max() <= 16, 'gradV ' + name)
    error = np.abs(load(bdg.get(), dtype) - s / n) / ulp(np.sqrt((d * d).sum(axis=axes, keepdims=True)), dtype)
    check(not np.isnan(error).any() and error.max() <= 16, 'gradG ' + name)


def scales(dtype):
    shapes = [(37, 16), (9, 504), (5, 7), (3, 4096), (2, 20000), (4, 250)]
    keep, segments = [], []
    for rows, columns in shapes:
        v, g = store(random.standard_normal((rows, columns)), dtype), store(random.random(rows) + 0.5, dtype)
        buffers = Buffer(v), Buffer(g), Buffer(poison(rows, 'float32'))
        keep.append(buffers)
        segments.append((*(b.pointer.value for b in buffers), rows, columns))
    plan.run_scales(plan.scale_launch(segments, dtype, dtype))
    synchronize()
    for bv, bg, bs in keep:
        want = load(bg.array, dtype) / np.sqrt((load(bv.array, dtype) ** 2).sum(axis=1))
        check(worst(bs.get().astype(np.float64), want, 'float32') <= 4, f'scale_segments {bv.array.shape} {dtype}')


def relative(got, want, allowed, what):
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    check(error <= allowed, f'{what}: error {error:.2e}')


ALLOWED = {'float32': 3e-6, 'float16': 3e-6 + 2.0**-10, 'bfloat16': 3e-6 + 2.0**-7}


def linear(rows, K, outputs, dtype):
    constants = {'kScale': ('I', 2), 'kBias': ('?', True), 'kPost': ('I', 1), 'kPostLogScale': ('?', False)}
    x, w = store(random.standard_normal((rows, K)), dtype), store(random.standard_normal((outputs, K)), dtype)
    bias, scale = store(random.standard_normal(outputs), dtype), store(random.random(outputs) + 0.5, 'float32')
    buffers = [Buffer(a) for a in (x, w, bias, scale, scale, poison((rows, outputs), dtype))]
    value = struct.pack('QIIIIfI', rows, K, outputs, plan.TYPE[dtype], 0, 0.125, int(K % 4 == 0))
    memory = {i: b.pointer.value for i, b in enumerate(buffers)}
    xs, ws = load(x, dtype), load(w, dtype)
    want = (xs @ ws.T) * scale + load(bias, dtype)
    want = np.where(want < 0, want * 0.125, want)
    kernels = [(f'linear_gemm_{t}_{dtype}', (plan.ceil_div(outputs, t), plan.ceil_div(rows, t)), 128) for t in (32, 64)]
    if rows <= 8:
        kernels.append(('linear_few_' + dtype, (plan.ceil_div(outputs, 8),), 256))
    for name, grid, threads in kernels:
        function('linear', name, constants).launch(grid, threads, memory, value)
        synchronize()
        relative(load(buffers[5].get(), dtype), want, ALLOWED[dtype], f'{name} {rows}x{K}x{outputs}')
    if dtype == 'float32':
        product, y = Buffer((xs @ ws.T).astype(np.float32)), Buffer(poison((rows, outputs), dtype))
        function('linear', 'linear_finish', constants).launch((plan.ceil_div(outputs, 64), rows), 64, {**memory, 0: product.pointer.value, 5: y.pointer.value}, value)
        synchronize()
        relative(load(y.get(), dtype), want, ALLOWED[dtype], f'linear_finish {rows}x{outputs}')


def matmul(batches, M, K, N, dtype):
    a, b = store(random.standard_normal((batches, M, K)), dtype), store(random.standard_normal((K, N)), dtype)
    buffers = [Buffer(x) for x in (a, b, poison((batches, M, N), dtype))]
    value = struct.pack('18Q6I', *([1] * 5 + [batches]), *([0] * 5 + [M * K]), *([0] * 6), M, N, K, int(K % 4 == 0), int(N % 4 == 0), 0)
    for tile in (32, 64):
        function('matmul', f'matmul_{tile}_{dtype}').launch((plan.ceil_div(N, tile), plan.ceil_div(M, tile), batches), 128,
                                                            {i: x.pointer.value for i, x in enumerate(buffers)}, value)
        synchronize()
        relative(load(buffers[2].get(), dtype), load(a, dtype) @ load(b, dtype), ALLOWED[dtype], f'matmul_{tile} {batches}x{M}x{K}x{N} {dtype}')


def conv_reference(x, w, transposed, stride, dilation, begin, length, groups):
    batches, channels, inputs = x.shape
    outputs = w.shape[1] * groups if transposed else w.shape[0]
    y = np.zeros((batches, outputs, length))
    per_in, per_out = channels // groups, outputs // groups
    for group in range(groups):
        xs = x[:, group * per_in:(group + 1) * per_in]
        for k in range(w.shape[2]):
            tap = w[group * per_in:(group + 1) * per_in, :, k].T if transposed else w[group * per_out:(group + 1) * per_out, :, k]
            i = np.arange(inputs if transposed else length)
            o = i * stride + k * dilation - begin
            keep = (o >= 0) & (o < (length if transposed else inputs))
            source, target = (i[keep], o[keep]) if transposed else (o[keep], i[keep])
            y[:, group * per_out:(group + 1) * per_out, target] += np.einsum('oc,ncl->nol', tap, xs[:, :, source])
    return y


def conv(batches, channels, outputs, length, kernel, dtype, transposed=False, stride=1, dilation=1, begin=0, end=0, groups=1):
    constants = {'kTransposed': ('?', transposed), 'kWide': ('?', False), 'kScale': ('I', 3 if transposed else 2), 'kBias': ('?', True),
                 'kResidual': ('?', True), 'kRunning': ('?', False), 'kPadMode': ('I', 0), 'kPre': ('I', 1), 'kPost': ('I', 7),
                 'kPreLogScale': ('?', False), 'kPostLogScale': ('?', False)}
    span = dilation * (kernel - 1) + 1
    out = (length - 1) * stride - begin - end + span if transposed else (length + begin + end - span) // stride + 1
    x = store(random.standard_normal((batches, channels, length)), dtype)
    w = store(random.standard_normal((channels, outputs // groups, kernel) if transposed else (outputs, channels // groups, kernel)) * 0.1, dtype)
    bias, residual = store(random.standard_normal(outputs), dtype), store(random.standard_normal((batches, outputs, out)), dtype)
    scale = store(random.random(channels if transposed else outputs) + 0.5, 'float32')
    y = poison((batches, outputs, out), dtype)
    buffers = [Buffer(a) for a in (x, w, bias, scale, residual, residual, scale, scale, y)]
    memory = {i: b.pointer.value for i, b in enumerate(buffers)}
    memory.update({10: memory[3], 11: memory[8]})  # a stream's states: neither read nor written
    active = load(x, dtype)
    active = np.where(active < 0, active * 0.25, active)
    if transposed:
        active = active * scale[:, None]
    want = conv_reference(active, load(w, dtype), transposed, stride, dilation, begin, out, groups)
    if not transposed:
        want = want * scale[:, None]
    want = np.tanh((want + load(bias, dtype)[:, None] + load(residual, dtype)) * 0.5)

    def value(tiles):
        axes = struct.pack('5qII', 1, 1, 1, 1, 0, 1, 0) + struct.pack('5qII', length, out, stride, dilation, begin, kernel, 0)
        rows = struct.pack('8Q', length, 0, out, 0, out, 0, out, 0)  # pitch and start of x, residual, running, y
        stream = struct.pack('7Q', *[0] * 7)  # no part of a stream
        return axes + rows + stream + struct.pack('Q6I3fI', batches, channels // groups, outputs // groups, groups, plan.TYPE[dtype], 0, 0, 0.25, 0, 0.5, tiles)

    phases = stride if transposed else 1
    positions = batches * plan.ceil_div(out, phases)
    name = f'{batches}x{channels}->{outputs}x{length} k{kernel} {dtype} transposed {transposed}'
    kernels = [(f'conv_gemm_{m}x{n}_{dtype}', (plan.ceil_div(positions, n), groups * plan.ceil_div(outputs // groups, m), phases), 128,
                plan.ceil_div(outputs // groups, m), 'conv_gemm') for m in (32, 64) for n in (32, 64)]
    kernels.append(('conv_direct_' + dtype, (plan.ceil_div(y.size, 256),), 256, 1, 'conv_direct'))
    for kernel_name, grid, threads, tiles, library in kernels:
        function(library, kernel_name, constants).launch(grid, threads, memory, value(tiles))
        synchronize()
        relative(load(buffers[8].get(), dtype), want, ALLOWED[dtype], f'{kernel_name} {name}')


def main():
    start()
    rows = [(37, 16), (9, 32), (70, 56), (7, 112), (6, 248), (5, 504), (3, 520), (2, 4096), (2, 11000), (6, 5), (6, 250), (2, 3001), (3, 40000), (1, 4099)]
    columns = [((40, 64), 1), ((3000, 32), 1), ((33, 7), 1), ((2000, 5), 1), ((3, 20, 24), 2), ((17, 12, 3), 5), ((17, 5, 7), 5), ((9, 8, 16), 5), ((128, 6, 40, 7), 10),
               ((4, 3, 600), 5), ((2, 3, 4, 5, 2), 21), ((37,), 0), ((30, 21), 3)]
    if not QUICK:
        rows += [(1025, 20000), (65536, 64), (2048, 2304), (256, 65536), (4, 1 << 21), (3, (1 << 20) + 3)]
        columns += [((1024, 1024), 1), ((4096, 512), 1), ((512, 300, 11), 5), ((64, 128, 128), 2), ((2000, 3, 1000), 5)]
    for dtype in ('float32', 'float16', 'bfloat16'):
        for shape in rows:
            weight_norm(shape, 2, dtype, dtype)
            backward(shape, 2, dtype)
        for shape, reduce in columns:
            weight_norm(shape, reduce, dtype, 'float32')
            backward(shape, reduce, dtype)
        weight_norm((64, 4096), 2, dtype, dtype, values=np.full((64, 4096), 0.1))
        weight_norm((20, 200), 2, dtype, 'float32', values=random.standard_normal((20, 200)) * (np.arange(20) % 2)[:, None])
        weight_norm((20, 200), 2, dtype, dtype, eps=20.0)
        if dtype != 'float16':
            weight_norm((6, 4096), 2, dtype, 'float32', values=random.standard_normal((6, 4096)) * np.array([1e25, 1e-25, 1e30, 1e-30, 3e15, 1])[:, None])
            weight_norm((300, 6), 1, dtype, 'float32', values=random.standard_normal((300, 6)) * np.array([1e25, 1e-25, 1e30, 1e-30, 3e15, 1]))
        scales(dtype)
        for shape in ((1, 40, 50), (8, 37, 19), (70, 64, 33)) + (() if QUICK else ((300, 512, 512),)):
            linear(*shape, dtype)
        for shape in ((1, 5, 7, 9), (2, 70, 36, 40)) + (() if QUICK else ((3, 300, 256, 200),)):
            matmul(*shape, dtype)
        conv(2, 12, 40, 70, 3, dtype, begin=1, end=1)
        conv(1, 12, 20, 30, 3, dtype, stride=2, begin=1, groups=4)
        conv(2, 10, 24, 21, 4, dtype, transposed=True, stride=2, begin=1, end=1)
        conv(1, 6, 12, 14, 5, dtype, transposed=True, stride=3, dilation=2, begin=3, end=2)
        if not QUICK:
            conv(1, 256, 256, 300, 7, dtype, dilation=3, begin=9, end=9)
            conv(1, 128, 64, 100, 16, dtype, transposed=True, stride=8, begin=4, end=4)
    print(f'ptx-kernels: {passed} passed, {failed} failed')
    sys.exit(failed != 0)


main()
