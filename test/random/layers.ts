import { type ErrorCode, nn, type Tensor } from 'weightnorm';
import { convReference, convTransposeReference, layerTolerance } from '../support/conv-reference';
import { reducedAxes, weightNormReference } from '../support/norm-reference';
import { ulp, values } from '../support/random';
import { exact, near, nearNorm, sizeOf, type Value } from './model';
import { linearNear } from './products';
import { type Codes, dtypes, type LayerSlot, type Slot, type World } from './world';

const kinds = ['Linear', 'Conv1d', 'ConvTranspose1d', 'WeightNormLinear', 'WeightNormConv1d', 'WeightNormConvTranspose1d'] as const;

/** The model's view of a parameter: a slot that the program's other steps do not see. */
function parameter(w: World, tensor: Tensor, device: number): Slot {
  const slot: Slot = {
    tensor,
    shape: [...tensor.shape],
    dtype: tensor.dtype,
    device,
    version: tensor.version,
    disposed: false,
    value: { shape: [...tensor.shape], dtype: tensor.dtype, numbers: new Float32Array(0) },
  };
  w.await(slot, () => {});
  return slot;
}

/** The weight in float64: given, or from g and v. */
function weightOf(layer: LayerSlot): () => Float64Array {
  const value = (name: string): Value | undefined => layer.parameters.get(name)?.value;
  const [weight, v, g] = [value('weight'), value('weight_v'), value('weight_g')];
  if (weight) return () => Float64Array.from(weight.numbers);
  if (!v || !g) throw new Error(`${layer.kind} has no weight`);
  return () => weightNormReference(v.numbers, g.numbers, v.shape, reducedAxes(v.shape.length, layer.dim ?? (layer.dim === null ? null : 0))).w;
}

export const layers: Record<string, (w: World) => void> = {
  layer(w) {
    const kind = w.pick(kinds);
    const device = w.next(w.devices.length);
    const dtype = w.pick(dtypes);
    const groups = kind.includes('Conv') && w.next(3) === 0 ? 2 : 1;
    const shape = {
      inputs: groups * (1 + w.next(4)),
      outputs: groups * (1 + w.next(4)),
      kernel: 1 + w.next(5),
      stride: 1 + w.next(2),
      dilation: 1 + w.next(2),
      padding: w.next(3),
      groups,
    };
    const normed = kind.startsWith('WeightNorm');
    const dim = normed ? w.pick([undefined, 0, 1, null]) : undefined;
    const common = { device: w.devices[device] as never, dtype, seed: w.next(100), bias: w.next(4) !== 0, ...(dim === undefined ? {} : { dim }) };
    const { inputs, outputs, kernel, stride, dilation, padding } = shape;
    const module = kind.endsWith('Linear')
      ? new nn[kind as 'Linear'](inputs, outputs, common)
      : new nn[kind as 'Conv1d'](inputs, outputs, kernel, { ...common, stride, dilation, padding, groups });
    const slot: LayerSlot = { layer: module as never, kind, device, dtype, shape, dim, parameters: new Map() };
    for (const [name, tensor] of module.namedParameters()) slot.parameters.set(name, parameter(w, tensor, device));
    const expected = [...(normed ? ['weight_g', 'weight_v'] : ['weight']), ...(common.bias ? ['bias'] : [])].sort();
    if ([...slot.parameters.keys()].sort().join() !== expected.join()) throw new Error(`${kind} has parameters ${[...slot.parameters.keys()]}`);
    w.layers.push(slot);
  },

  forward(w) {
    if (w.layers.length === 0) layers.layer?.(w);
    const l = w.pick(w.layers);
    const { inputs, outputs, kernel, stride, dilation, padding, groups } = l.shape;
    const flat = l.kind.endsWith('Linear');
    const transposed = l.kind.endsWith('Transpose1d');
    const lead = w.create([...w.randomShape(0, 1), flat ? inputs : 1], l.dtype, l.device);
    const fit = flat ? lead : w.create([1 + w.next(2), inputs, 1 + w.next(12)], l.dtype, l.device);
    const x = w.rarely(10) ? w.any() : fit;
    const codes: Codes = new Set<ErrorCode>(x.disposed ? ['ERR_DISPOSED'] : []);
    if (x.device !== l.device) codes.add('ERR_DEVICE');
    if (x.dtype !== l.dtype) codes.add('ERR_DTYPE');
    let length = 0;
    if (flat ? x.shape.length < 1 || x.shape.at(-1) !== inputs : x.shape.length !== 3 || x.shape[1] !== inputs) codes.add('ERR_SHAPE');
    else if (!flat) {
      const [steps, span] = [x.shape[2] as number, dilation * (kernel - 1) + 1];
      length = transposed ? (steps - 1) * stride - 2 * padding + span : Math.floor((steps + 2 * padding - span) / stride) + 1;
      if (transposed ? length < 1 : steps + 2 * padding < span) codes.add('ERR_SHAPE');
    }
    const y = w.attempt(codes, () => l.layer.forward(x.tensor));
    if (!y) return;
    const weight = weightOf(l);
    const weightShape = (l.parameters.get('weight') ?? l.parameters.get('weight_v'))?.shape ?? [];
    const [input, bias] = [x.value, l.parameters.get('bias')?.value];
    w.add(y, flat ? [...x.shape.slice(0, -1), outputs] : [x.shape[0] as number, outputs, length], l.dtype, l.device, (got) => {
      const numbers = weight();
      if (flat) return linearNear(w, got, input, numbers, bias, outputs);
      const four = (shape: readonly number[]): [number, number, number, number] => [shape[0] as number, shape[1] as number, 1, shape[2] as number];
      const reference = (part: (n: number) => number): Float64Array =>
        (transposed ? convTransposeReference : convReference)({
          x: Float64Array.from(input.numbers, part),
          xShape: four(input.shape),
          weight: Float64Array.from(numbers, part),
          wShape: four(weightShape),
          bias: bias && Float64Array.from(bias.numbers, part),
          stride: [1, stride],
          dilation: [1, dilation],
          padBegin: [0, padding],
          padEnd: [0, padding],
          groups,
        }).data;
      nearNorm(
        l.kind,
        got,
        reference((n) => n),
        reference(Math.abs),
        2 * layerTolerance(sizeOf(weightShape) / (weightShape[0] as number), l.dtype),
        w.tally,
      );
    });
  },

  /** A parameter is written; the layer's cached scale must notice. */
  train(w) {
    if (w.layers.length === 0) return;
    const l = w.pick(w.layers);
    const slot = w.pick([...l.parameters.values()]);
    const data = values(sizeOf(slot.shape), w.next(1000), slot.dtype, 1);
    slot.tensor.write(data);
    slot.version++;
    slot.value = { shape: slot.shape, dtype: slot.dtype, numbers: new Float32Array(0) };
    w.await(slot, (got) => exact('parameter', got, (i) => data[i] as number, w.tally));
    w.verify(slot);
  },

  fold(w) {
    if (w.layers.length === 0) return;
    const l = w.pick(w.layers);
    const normed = l.parameters.has('weight_v');
    const before = [...l.parameters.values()];
    const weight = normed ? weightOf(l) : null;
    const folded = nn.foldWeightNorm(l.layer);
    if (folded.length !== (normed ? 1 : 0)) throw new Error(`fold: ${folded.length} layers were folded`);
    if (!weight) return;
    for (const name of ['weight_v', 'weight_g']) l.parameters.delete(name);
    for (const slot of before) slot.disposed = ![...l.parameters.values()].includes(slot);
    for (const slot of before) w.verify(slot);
    const slot = parameter(w, l.layer.weight as Tensor, l.device);
    l.parameters.set('weight', slot);
    const ulps = l.dtype === 'float32' ? 4 : 0.5;
    const { value } = slot;
    w.checks.push(() => {
      const want = weight();
      near(
        'folded weight',
        value,
        (i) => want[i] as number,
        (_i, n) => ulps * ulp(n, l.dtype),
        w.tally,
      );
    });
  },
};
