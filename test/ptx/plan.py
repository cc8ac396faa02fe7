"""The launches that native/metal/norm_plan.mm and its callers would encode, as (library, function, grid, threads, buffers, value, shared).

`buffers` names what is bound at each index; the caller maps names to memory. `partial` is scratch of the given size.
"""
import math
import struct

from driver import function

SIZE = {'float32': 4, 'float16': 2, 'bfloat16': 2}
TYPE = {'float32': 0, 'float16': 1, 'bfloat16': 2}
WEIGHT, NORM, SCALE = 0, 1, 2


def ceil_div(a, b):
    return -(-a // b)


def nest(shape, reduce):
    """core::Nest: (size, stride, reduced) outermost first, size-1 axes dropped, neighbours of a kind merged."""
    axes, stride = [], 1
    for i in reversed(range(len(shape))):
        if shape[i] != 1:
            reduced = bool(reduce >> i & 1)
            if axes and axes[0][2] == reduced:
                axes[0] = (axes[0][0] * shape[i], axes[0][1], reduced)
            else:
                axes.insert(0, (shape[i], stride, reduced))
        stride *= shape[i]
    return axes


def rule(g_type, eps, output):
    mode = 0 if eps is None else 1 if eps > 0 else 2
    return struct.pack('IIfI', TYPE[g_type], mode, eps or 0.0, output)


def chunking(dtype, columns):
    width = 16 // SIZE[dtype]
    return (width, dtype) if columns % width == 0 else (1, 'scalar_' + dtype)


def simd_share(chunks):
    for lanes, each in ((4, 1), (4, 2), (8, 2), (16, 2), (32, 2), (32, 4)):
        if chunks <= lanes * each:
            return lanes, each
    return None


def whole_simdgroups(threads, most):
    return min(ceil_div(threads, 32) * 32, max(most // 32, 1) * 32)


def rows_launch(library, prefix, width, suffix, rows, columns):
    count = columns // width
    share = simd_share(count)
    if share:
        name = f'{prefix}_simd_k{share[1]}_{suffix}'
        threads = whole_simdgroups(128, function(library, name).max_threads)
        return name, share[0], ceil_div(rows, threads // share[0]), threads
    for each in (2, 4) if prefix == 'wnb' and rows < 1024 else (4,):
        threads = ceil_div(ceil_div(count, each), 32) * 32
        name = f'{prefix}_group_k{each}_{suffix}'
        if threads <= 1024 and threads <= function(library, name).max_threads:
            return name, 32, rows, threads
    name = f'{prefix}_loop_{suffix}'
    return name, 32, rows, whole_simdgroups(1024, function(library, name).max_threads)


def split_rows(rows, columns, width):
    if columns // width <= 4096 or rows >= 1024:
        return None
    wanted = min(ceil_div(1024, rows), ceil_div(columns, 16384), 512)
    length = ceil_div(ceil_div(columns, max(wanted, 2)), width) * width
    return ceil_div(columns, length), length


def column_nest(axes):
    axes = list(axes)
    batches = rows = kept = run = 1
    if axes and axes[-1][2]:
        run = axes.pop()[0]
    if not axes or axes[-1][2]:
        return None
    kept = axes.pop()[0]
    if not axes or not axes[-1][2]:
        return None
    rows = axes.pop()[0]
    if axes and not axes[-1][2]:
        batches = axes.pop()[0]
    return None if axes or run > 512 else (batches, rows, kept, run)


def column_launch(shape, width, max_threads):
    batches, rows, kept, run = shape
    columns, unit = kept * run, math.lcm(run, width)
    most = whole_simdgroups(512 if width == 8 else 1024, max_threads)
    strip = max(1, (32 if width == 1 else 8 * width) // unit) * unit
    while strip % 2 == 0 and strip // 2 % unit == 0 and strip // width > 2 and batches * ceil_div(columns, strip) < 256:
        strip //= 2
    strip = min(strip, columns)
    lanes = strip // width
    if max(lanes, strip // run) > most:
        return None
    depth = min(1 << ((most // lanes).bit_length() - 1), 1 << (rows - 1).bit_length())
    while depth > 1 and strip * max(1, depth // 2) * 8 > 16384:
        depth //= 2
    strips = ceil_div(columns, strip)
    params = struct.pack('8I', rows, columns, run, kept, strip, strips, lanes, depth)
    return params, batches * strips, whole_simdgroups(max(lanes * depth, strip // run), most), strip * max(1, depth // 2) * 8, depth


def nest_params(axes):
    tables = {True: ([1] * 4, [0] * 4), False: ([1] * 4, [0] * 4)}
    at = {True: 3, False: 3}
    reduced = 1
    for size, stride, is_reduced in reversed(axes):
        tables[is_reduced][0][at[is_reduced]] = size
        tables[is_reduced][1][at[is_reduced]] = stride
        at[is_reduced] -= 1
        reduced *= size if is_reduced else 1
    return struct.pack('17Q', *tables[False][0], *tables[False][1], *tables[True][0], *tables[True][1], reduced), reduced


def norm_launches(shape, reduce, dtype, g_type, eps=None, output=WEIGHT):
    """Forward: buffers v, g, w, statistic and, for split rows, partial (with its bytes)."""
    axes, end = nest(shape, reduce), rule(g_type, eps, output)
    names = {0: 'v', 1: 'g', 2: 'w', 3: 'statistic'}
    kept = math.prod(a[0] for a in axes if not a[2])
    reduced = math.prod(a[0] for a in axes if a[2])
    if len(axes) <= 1 or (len(axes) == 2 and axes[1][2]):
        width, suffix = chunking(dtype, reduced)
        split = split_rows(kept, reduced, width)
        if split:
            parts, length = split
            value = struct.pack('QII', reduced, parts, length) + end
            first, second = 'wn_split_sum_' + suffix, 'wn_split_apply_' + suffix
            library = 'weight_norm_split'
            return [(library, first, (parts, kept), whole_simdgroups(512, function(library, first).max_threads), {0: 'v', 1: 'partial'}, value, 0, 16 * parts * kept),
                    (library, second, (parts if output == WEIGHT else 1, kept), whole_simdgroups(512, function(library, second).max_threads),
                     {**names, 4: 'partial'}, value, 0, 0)]
        name, lanes, groups, threads = rows_launch('weight_norm', 'wn', width, suffix, kept, reduced)
        return [('weight_norm', name, (groups,), threads, names, struct.pack('QII', kept, reduced, lanes) + end, 0, 0)]
    columns = column_nest(axes)
    if columns:
        for width, suffix in (chunking(dtype, columns[2] * columns[3]), (1, 'scalar_' + dtype)):
            for base in ('wn_columns_k8_', 'wn_columns_'):
                launch = column_launch(columns, width, function('weight_norm_columns', base + suffix).max_threads)
                if launch and (base == 'wn_columns_' or columns[1] <= 8 * launch[4]):
                    return [('weight_norm_columns', base + suffix, (launch[1],), launch[2], names, launch[0] + end, launch[3], 0)]
    value, reduced = nest_params(axes)
    name = 'wn_nest_' + dtype
    return [('weight_norm_nest', name, (kept,), whole_simdgroups(min(reduced, 1024), function('weight_norm_nest', name).max_threads), names, value + end, 0, 0)]


def backward_launches(shape, reduce, dtype, g_type, eps=None):
    """Buffers gradW, v, g, gradV, gradG and, for split rows, partial."""
    axes, end = nest(shape, reduce), rule(g_type, eps, 0)
    names = {0: 'gradW', 1: 'v', 2: 'g', 3: 'gradV', 4: 'gradG'}
    kept = math.prod(a[0] for a in axes if not a[2])
    reduced = math.prod(a[0] for a in axes if a[2])
    if len(axes) <= 1 or (len(axes) == 2 and axes[1][2]):
        width, suffix = chunking(dtype, reduced)
        split = split_rows(kept, reduced, width)
        if split:
            parts, length = split
            value = struct.pack('QII', reduced, parts, length) + end
            library, first, second = 'weight_norm_backward_split', 'wnb_split_sum_' + suffix, 'wnb_split_apply_' + suffix
            return [(library, first, (parts, kept), whole_simdgroups(512, function(library, first).max_threads), {0: 'gradW', 1: 'v', 2: 'partial'}, value, 0, 32 * parts * kept),
                    (library, second, (parts, kept), whole_simdgroups(512, function(library, second).max_threads), {**names, 5: 'partial'}, value, 0, 0)]
        name, lanes, groups, threads = rows_launch('weight_norm_backward', 'wnb', width, suffix, kept, reduced)
        return [('weight_norm_backward', name, (groups,), threads, names, struct.pack('QII', kept, reduced, lanes) + end, 0, 0)]
    columns = column_nest(axes)
    if columns:
        for width, suffix in (chunking(dtype, columns[2] * columns[3]), (1, 'scalar_' + dtype)):
            launch = column_launch(columns, width, function('weight_norm_backward_columns', 'wnb_columns_' + suffix).max_threads)
            if launch:
                return [('weight_norm_backward_columns', 'wnb_columns_' + suffix, (launch[1],), launch[2], names, launch[0] + end, launch[3], 0)]
    value, reduced = nest_params(axes)
    name = 'wnb_nest_' + dtype
    return [('weight_norm_backward_nest', name, (kept,), whole_simdgroups(min(reduced, 1024), function('weight_norm_backward_nest', name).max_threads), names, value + end, 0, 0)]


def scale_tiles(segments, threads=128):
    """segments: (v address, g address, scale address, rows, columns, dtype, g type, eps). The tile table of scale.mm."""
    table = b''
    for v, g, scale, rows, columns, dtype, g_type, eps in segments:
        width, _ = chunking(dtype, columns)
        share = simd_share(columns // width)
        step = threads // share[0] if share else 1
        for row in range(0, rows, step):
            table += struct.pack('QQQ6I', v + row * columns * SIZE[dtype], g, scale + 4 * row, min(step, rows - row), columns,
                                 share[0] if share else 0, int(width > 1), row, 0) + rule(g_type, eps, SCALE)
    return table


def run(launches, memory, stream=0):
    """memory: name -> address; a missing name is bound as `none`."""
    for library, name, grid, threads, buffers, value, shared, _ in launches:
        function(library, name).launch(grid, threads, {i: memory.get(n, memory['none']) for i, n in buffers.items()}, value, shared, stream)
