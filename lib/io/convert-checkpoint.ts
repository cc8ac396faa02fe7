import { Device } from '../device.js';
import { describe, fail } from '../errors.js';
import { weightNorm } from '../functional.js';
import { checkLayout, type Layout } from '../nn/layout.js';
import { scope } from '../scope.js';
import { below, withCheckpoint } from './checkpoint.js';
import { checkPath, writeAtomically } from './file.js';
import { isLoadable, upload } from './load.js';
import { encodeHeader } from './safetensors-header.js';
import { elementBytes, type OpenTensor } from './stored.js';
import { layoutPlan, type TransposedLayers } from './weight-layout.js';
import { findNormedWeights, type NormedWeight, normAxes } from './weight-norm-keys.js';

export interface FoldOptions {
  /** Where weights are computed. Default: the CPU. */
  device?: Device | undefined;
  /** Stops between tensors with ERR_ABORTED; nothing is written then. */
  signal?: AbortSignal | undefined;
  /** Called after each tensor with the part of the data that is written, from 0 to 1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

export interface ConvertOptions extends FoldOptions {
  /** Converts only what is below this dotted key, with names that begin after it: 'generator', 'state_dict'. */
  key?: string | undefined;
  /** Whether weight-normalised weights become plain ones. Default false. */
  fold?: boolean | undefined;
  /**
   * 'mlx' moves the channels of convolution weights, which are those of rank 3 and more, last. `transposed` must say which of
   * them are transposed convolutions. Default 'torch': as they are.
   */
  layout?: Layout | undefined;
  /**
   * The layers that are transposed convolutions, and their numbers of groups: `{ 'ups.*': 1 }`. A `*` stands for one part of a
   * name. Shapes do not tell, so it is required with 'mlx'; `{}` where there are none.
   */
  transposed?: TransposedLayers | undefined;
}

/**
 * Copies a checkpoint (safetensors, torch or npz) with every weight-normalised weight (`weight_g`/`weight_v`, or
 * `parametrizations.weight.original0`/`original1`) replaced by the plain `weight` = g · v / ‖v‖, in v's dtype (F64 becomes F32), as
 * safetensors. The norm's axes follow from g's shape. Other tensors are copied byte for byte, and so is the metadata. Works one
 * tensor at a time, and writes a complete file or none; `output` may be `input`.
 * @returns the names of the folded layers, as nn.foldWeightNorm gives them; empty when there was nothing to fold.
 */
export async function foldCheckpoint(input: string, output: string, options: FoldOptions = {}): Promise<string[]> {
  return (await convertCheckpoint(input, output, { ...options, fold: true })).folded;
}

/**
 * Writes a checkpoint (torch, npz or safetensors) as safetensors: every tensor in its own dtype, row-major, under its dotted name;
 * numbers and text of a torch file are left out. Works one tensor at a time, and writes a complete file or none; `output` may be `input`.
 * @returns the names of the tensors that were written, and of the layers that were folded
 * @throws WeightNormError ERR_IO if a file cannot be read or written, ERR_FORMAT for a bad one, ERR_KEYS if there is nothing below `key`.
 */
export async function convertCheckpoint(input: string, output: string, options: ConvertOptions = {}): Promise<{ tensors: string[]; folded: string[] }> {
  const layout = checkLayout(options.layout);
  if (layout === 'mlx' && options.transposed === undefined)
    fail(
      'ERR_ARGUMENT',
      "transposed is undefined; layout 'mlx' needs the transposed convolutions, which shapes do not tell: { 'ups.*': 1 }, or {} where there are none",
    );
  checkPath(output, 'output');
  return withCheckpoint(
    input,
    async (whole) => {
      const { tensors, metadata, path, format } = options.key === undefined ? whole : below(whole, options.key);
      const weights = options.fold ? findNormedWeights(tensors, path) : [];
      const byV = new Map(weights.map((weight) => [weight.v, weight]));
      const magnitudes = new Set(weights.map((weight) => weight.g));
      for (const { g, v } of weights) for (const tensor of [g, v]) checkLoadable(tensor, path);
      const device = weights.length > 0 ? (options.device ?? Device.get('cpu')) : null;
      const folded = tensors.filter((tensor) => !magnitudes.has(tensor)).map((tensor) => asFolded(tensor, byV.get(tensor), path, device));
      const parts = layout === 'mlx' ? layoutPlan(folded, options.transposed ?? {}, path) : folded;
      // Widest first, so that every tensor's data is aligned; a safetensors file keeps its order.
      if (format !== 'safetensors') parts.sort((a, b) => (elementBytes[b.dtype] as number) - (elementBytes[a.dtype] as number));
      const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
      await writeAtomically(output, async (write) => {
        await write(encodeHeader(parts, metadata));
        let done = 0;
        for (const part of parts) {
          if (options.signal?.aborted) fail('ERR_ABORTED', `converting ${path} was aborted`, options.signal.reason);
          for await (const piece of part.pieces()) await write(piece);
          done += part.bytes;
          options.onProgress?.(done / total);
        }
      });
      return { tensors: parts.map(({ name }) => name), folded: weights.map(({ name }) => layerName(name)) };
    },
    { argument: 'input' },
  );
}

function checkLoadable(tensor: OpenTensor, path: string): void {
  if (isLoadable(tensor)) return;
  fail(
    'ERR_FORMAT',
    `${path}: tensor ${describe(tensor.name)} of ${tensor.dtype} and shape [${tensor.shape.join(', ')}] cannot be folded; g and v must be F32, F16, BF16 or F64 with at least one element`,
  );
}

/** 'ups.0.weight' as 'ups.0'; a weight that is not called 'weight' keeps its name. */
function layerName(weight: string): string {
  return weight === 'weight' ? '' : weight.replace(/\.weight$/, '');
}

/** A tensor as it is, or the weight whose v it is. */
function asFolded(tensor: OpenTensor, weight: NormedWeight<OpenTensor> | undefined, path: string, device: Device | null): OpenTensor {
  if (!weight || !device) return tensor;
  const dtype = tensor.dtype === 'F64' ? 'F32' : tensor.dtype;
  const read = (): Promise<Uint8Array<ArrayBuffer>> => fold(weight, path, device);
  return {
    ...tensor,
    name: weight.name,
    dtype,
    bytes: tensor.dtype === 'F64' ? tensor.bytes / 2 : tensor.bytes,
    read,
    pieces: async function* () {
      yield await read();
    },
  };
}

async function fold(weight: NormedWeight<OpenTensor>, path: string, device: Device): Promise<Uint8Array<ArrayBuffer>> {
  const axes = normAxes(weight.g, weight.v, path);
  const v = await upload(weight.v, path, device);
  const g = await upload(weight.g, path, device, 'float32');
  try {
    const w = scope(() => weightNorm(v, g.reshape(weight.v.shape.map((_, axis) => weight.g.shape[axis] ?? 1)), axes));
    const values = w.readRaw();
    w.dispose();
    return new Uint8Array((await values).buffer as ArrayBuffer);
  } finally {
    v.dispose();
    g.dispose();
  }
}
