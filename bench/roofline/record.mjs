// Records the operations that calls hand to the add-on: kind, least bytes (each operand and result once), arithmetic.
import { types } from 'node:util';

const bytesOf = [4, 2, 2];
const product = (shape) => shape.reduce((a, b) => a * b, 1);

/** Operations an element of the first operand, for what is no product. */
const perElement = { weightNorm: 3, weightNormBackward: 7, norm: 2, scales: 2, activation: 1, arithmetic: 1, reduce: 1 };
const moved = ['transpose', 'pad', 'narrow', 'concat', 'interpolate', 'cast'];

function tensors(value) {
  if (types.isExternal(value)) return [value];
  if (Array.isArray(value)) return value.flatMap(tensors);
  return value && typeof value === 'object' && 'alpha' in value ? tensors(value.alpha) : [];
}

/** Replaces the add-on's operations by recording ones; returns the function that runs a body and lists what it called. */
export function recorder(addon) {
  let calls = null;
  const sizeOf = (tensor) => product(addon.shape(tensor)) * bytesOf[addon.dtype(tensor)];

  function arithmetic(kind, args, output) {
    const shape = (tensor) => addon.shape(tensor);
    if (kind === 'linear') return 2 * product(shape(args[1])) * (product(shape(args[0])) / shape(args[0]).at(-1));
    if (kind === 'matmul') return 2 * product(shape(output)) * shape(args[0]).at(-1);
    if (kind === 'conv') {
      const transposed = (addon.convNumbers[13] & 1) === 1;
      const [batch, , ...length] = shape(transposed ? args[0] : output);
      return 2 * product(shape(args[1])) * batch * product(length);
    }
    return (perElement[kind] ?? 0) * tensors(args[0]).reduce((sum, tensor) => sum + product(shape(tensor)), 0);
  }

  for (const kind of ['conv', 'linear', 'matmul', ...Object.keys(perElement), ...moved]) {
    const original = addon[kind];
    addon[kind] = (...args) => {
      const result = original.apply(addon, args);
      if (calls) {
        const [reads, writes] = [tensors(args), tensors(result)].map((list) => list.reduce((sum, tensor) => sum + sizeOf(tensor), 0));
        calls.push({ kind, reads, writes, bytes: reads + writes, flops: arithmetic(kind, args, tensors(result)[0]) });
      }
      return result;
    };
  }
  return (body) => {
    calls = [];
    try {
      return { result: body(), calls };
    } finally {
      calls = null;
    }
  };
}
