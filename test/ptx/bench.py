"""Bandwidth of each weight norm kernel beside torch's own kernel and a plain copy, in one run. Every result is checked before it is timed.

GB/s counts one read of v and one write of w (backward: two reads and one write), whatever a kernel really moves; `own` is the same time
against the bytes its algorithm has to move (rows too long for the registers are read twice).
"""
import math
import sys

import torch

import plan
from driver import start

start()
torch.zeros(1, device='cuda')
# Shape and mask of reduced axes.
FORWARD = [((4096, 4096), 2), ((8192, 8192), 2), ((512, 5632), 2), ((65536, 64), 2), ((65536, 256), 2), ((256, 65536), 2), ((64, 262144), 2),
           ((4096, 4096), 1), ((8192, 8192), 1), ((512, 65536), 1), ((64, 512, 2048), 2), ((2048, 2048, 3), 5), ((512, 8192, 7), 5)]
BACKWARD = [((4096, 4096), 2), ((8192, 8192), 2), ((512, 5632), 2), ((65536, 64), 2), ((256, 65536), 2), ((4096, 4096), 1)]
DTYPES = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


def timed(calls, *bodies):
    """Microseconds a call of each body, which makes `calls` launches: captured once, replayed in turn; the medians of nine replays."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        graphs, times = [], [[] for _ in bodies]
        for body in bodies:
            body()
            torch.cuda.synchronize()
            graphs.append(torch.cuda.CUDAGraph())
            with torch.cuda.graph(graphs[-1], stream=stream):
                body()
        for turn in range(10):
            for graph, measured in zip(graphs, times):
                begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                begin.record()
                graph.replay()
                end.record()
                torch.cuda.synchronize()
                if turn > 0:
                    measured.append(begin.elapsed_time(end) * 1e3 / calls)
    return [sorted(measured)[4] for measured in times]


def current():
    return torch.cuda.current_stream().cuda_stream


def axes_of(shape, reduce):
    return [i for i in range(len(shape)) if reduce >> i & 1]


def copies_for(size):
    return max(4, min(64, math.ceil(400e6 / size)))


def line(name, us, moved, own, copy, others):
    rate = moved / us / 1e3
    text = f'{name:44s} {us:9.2f} us {rate:6.0f} GB/s  {100 * copy / us:5.1f}% of copy'
    if own != moved:
        text += f' (own {100 * copy / us * own / moved:5.1f}%)'
    print(text + ''.join(f'  torch {t:.2f} us ({t / us:.2f}x)' for t in others), flush=True)


def reads_twice(launches):
    return len(launches['dispatches']) > 1


def forward(shape, reduce, dtype):
    kind, copies = DTYPES[dtype], copies_for(2 * math.prod(shape) * plan.SIZE[dtype])
    axes = axes_of(shape, reduce)
    v = torch.randn(copies, *shape, device='cuda').to(kind)
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    g = (torch.rand(kept, device='cuda') + 0.5).to(kind)
    w = torch.full_like(v, float('nan'))
    launches = plan.norm_launches(shape, reduce, dtype, dtype)
    partial = torch.empty(max(16, launches['partial']), dtype=torch.uint8, device='cuda')
    memory = [{'v': v[i].data_ptr(), 'g': g.data_ptr(), 'w': w[i].data_ptr(), 'partial': partial.data_ptr(), 'none': v.data_ptr()} for i in range(copies)]

    def ours():
        for m in memory:
            plan.run(launches, m, current())

    ours()
    x = v[copies - 1].double()
    want = x * (g.double() / torch.sqrt((x * x).sum(dim=axes, keepdim=True)))
    error = ((w[copies - 1].double() - want).norm() / want.norm()).item()
    if not error < {'float32': 1e-6, 'float16': 1e-3, 'bfloat16': 8e-3}[dtype]:
        sys.exit(f'wrong result: {plan.name_of(launches)} {shape} {dtype}: {error}')
    del x, want
    bodies = [ours, lambda: [w[i].copy_(v[i]) for i in range(copies)]]
    if len(shape) == 2:
        bodies.append(lambda: [torch._weight_norm(v[i], g, 0 if reduce == 2 else 1) for i in range(copies)])
    us, copy, *others = timed(copies, *bodies)
    size = math.prod(shape) * plan.SIZE[dtype]
    line(f'{plan.name_of(launches)} {list(shape)} over {axes}', us, 2 * size, (3 if reads_twice(launches) else 2) * size, copy, others)
    del v, w
    torch.cuda.empty_cache()


def norms(shape, dtype):
    kind, copies = DTYPES[dtype], copies_for(math.prod(shape) * plan.SIZE[dtype])
    v = torch.randn(copies, *shape, device='cuda').to(kind)
    n = torch.empty(shape[0], device='cuda')
    launches = plan.norm_launches(shape, 2, dtype, dtype, output=plan.NORM)
    partial = torch.empty(max(16, launches['partial']), dtype=torch.uint8, device='cuda')

    def ours():
        for x in v:
            plan.run(launches, {'v': x.data_ptr(), 'statistic': n.data_ptr(), 'partial': partial.data_ptr(), 'none': v.data_ptr()}, current())

    us, torch_us = timed(copies, ours, lambda: [torch.linalg.vector_norm(x, dim=1, dtype=torch.float32) for x in v])
    size = math.prod(shape) * plan.SIZE[dtype]
    print(f'norm only {dtype} {list(shape)}: {us:.2f} us, {size / us / 1e3:.0f} GB/s read; torch vector_norm {torch_us:.2f} us', flush=True)


def backward(shape, reduce, dtype):
    kind, copies = DTYPES[dtype], copies_for(3 * math.prod(shape) * plan.SIZE[dtype])
    axes = axes_of(shape, reduce)
    v, d = torch.randn(copies, *shape, device='cuda').to(kind), torch.randn(copies, *shape, device='cuda').to(kind)
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    g = (torch.rand(kept, device='cuda') + 0.5).to(kind)
    dv, dg = torch.full_like(v, float('nan')), torch.empty(kept, device='cuda', dtype=kind)
    launches = plan.backward_launches(shape, reduce, dtype, dtype)
    partial = torch.empty(max(16, launches['partial']), dtype=torch.uint8, device='cuda')

    def ours():
        for i in range(copies):
            plan.run(launches, {'gradW': d[i].data_ptr(), 'v': v[i].data_ptr(), 'g': g.data_ptr(), 'gradV': dv[i].data_ptr(),
                                'gradG': dg.data_ptr(), 'partial': partial.data_ptr(), 'none': v.data_ptr()}, current())

    ours()
    x, y = v[copies - 1].double(), d[copies - 1].double()
    n = torch.sqrt((x * x).sum(dim=axes, keepdim=True))
    want = g.double() / n * (y - x / n * ((x * y).sum(dim=axes, keepdim=True) / n))
    error = ((dv[copies - 1].double() - want).norm() / want.norm()).item()
    if not error < {'float32': 1e-6, 'float16': 1e-3, 'bfloat16': 8e-3}[dtype]:
        sys.exit(f'wrong gradient: {plan.name_of(launches)} {shape} {dtype}: {error}')
    del x, y, want
    bodies = [ours, lambda: [dv[i].copy_(v[i]) for i in range(copies)]]
    if reduce == 2 and len(shape) == 2:
        norm = torch.linalg.vector_norm(v[0], dim=1, keepdim=True, dtype=torch.float32).contiguous()
        bodies.append(lambda: [torch.ops.aten._weight_norm_interface_backward(d[i], v[i], g, norm, 0) for i in range(copies)])
    us, copy, *others = timed(copies, *bodies)
    copy *= 1.5
    size = math.prod(shape) * plan.SIZE[dtype]
    line(f'{plan.name_of(launches)} {list(shape)} over {axes}', us, 3 * size, (5 if reads_twice(launches) else 3) * size, copy, others)
    del v, d, dv
    torch.cuda.empty_cache()


def hifigan(dtype):
    """Scales of HiFi-GAN V1's 78 layers in one launch, beside an elementwise multiply that moves the same bytes in all."""
    shapes = [(512, 560), (512, 4096), (256, 2048), (128, 256), (64, 128)]
    shapes += [(c, c * k) for c in (256, 128, 64, 32) for k in (3, 7, 11) for _ in range(6)] + [(1, 224)]
    # So many launches that the start of their graph hardly counts.
    kind, size, copies = DTYPES[dtype], plan.SIZE[dtype], 32
    offsets, at, row, rows = [], 0, 0, sum(s[0] for s in shapes)
    for r, c in shapes:
        offsets.append((at, row))
        at, row = at + (r * c + 127) // 128 * 128, row + r
    v = torch.randn(copies, at, device='cuda').to(kind)
    g = (torch.rand(rows, device='cuda') + 0.5).to(kind)
    s = torch.full((copies, rows), float('nan'), device='cuda')
    plans = [plan.scale_launch([(v[i].data_ptr() + size * o, g.data_ptr() + size * q, s[i].data_ptr() + 4 * q, r, c)
                                for (r, c), (o, q) in zip(shapes, offsets)], dtype, dtype) for i in range(copies)]

    def ours():
        for p in plans:
            plan.run_scales(p, current())

    ours()
    want = torch.cat([q.double() / v[copies - 1, o:o + r * c].view(r, c).double().norm(dim=1)
                      for (r, c), (o, q) in zip(shapes, [(o, g[p:p + r]) for (r, _), (o, p) in zip(shapes, offsets)])])
    if not ((s[copies - 1].double() - want).abs() / want).max().item() < 5e-7:
        sys.exit('wrong scales')
    weights = sum(r * c for r, c in shapes)
    half = weights // 2
    a, b = v[:, :half].contiguous(), torch.empty(copies, half, device='cuda', dtype=kind)
    full = torch.empty_like(v)
    views = [[(v[i, o:o + r * c].view(r, c), g[q:q + r].view(r, 1)) for (r, c), (o, q) in zip(shapes, offsets)] for i in range(copies)]
    us, multiply, whole, torch_us = timed(copies, ours, lambda: [torch.mul(a[i], 2.0, out=b[i]) for i in range(copies)],
                                          lambda: [torch.mul(v[i], 2.0, out=full[i]) for i in range(copies)],
                                          lambda: [torch._weight_norm(x, y, 0) for layers in views for x, y in layers])
    print(f'HiFi-GAN V1 {dtype}: {len(shapes)} layers, {weights} weights, one launch of {plans[0]["groups"]} threadgroups: {us:.2f} us '
          f'({weights * size / us / 1e3:.0f} GB/s read); multiply over the same bytes {multiply:.2f} us (ratio {us / multiply:.3f}); multiply over all '
          f'weights {whole:.2f} us (ratio {us / whole:.3f}); torch, 78 calls in a graph {torch_us:.1f} us', flush=True)


def main():
    print(torch.cuda.get_device_name(), 'torch', torch.__version__, flush=True)
    for dtype in DTYPES:
        print(f'-- forward {dtype}')
        for shape, reduce in FORWARD:
            forward(shape, reduce, dtype)
        print(f'-- backward {dtype}')
        for shape, reduce in BACKWARD:
            backward(shape, reduce, dtype)
        norms((4096, 4096), dtype)
        hifigan(dtype)


if __name__ == '__main__':
    main()
