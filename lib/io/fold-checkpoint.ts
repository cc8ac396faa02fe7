import { Device } from '../device.js';
import { describe, fail } from '../errors.js';
import { weightNorm } from '../functional.js';
import { scope } from '../scope.js';
import { checkPath, type InputFile, type Write, withInput, writeAtomically } from './file.js';
import { isLoadable, loadStored } from './safetensors.js';
import { encodeHeader, readHeader, type StoredTensor } from './safetensors-header.js';
import { findNormedWeights, type NormedWeight, normAxes } from './weight-norm-keys.js';

export interface FoldOptions {
  /** Where weights are computed. Default: the CPU. */
  device?: Device | undefined;
  /** Stops between tensors with ERR_ABORTED; nothing is written then. */
  signal?: AbortSignal | undefined;
  /** Called after each tensor with the part of the data that is written, from 0 to 1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

const block = 1 << 23;

/**
 * Copies a safetensors checkpoint with every weight-normalised weight (`weight_g`/`weight_v`, or
 * `parametrizations.weight.original0`/`original1`) replaced by the plain `weight` = g · v / ‖v‖, in v's dtype (F64 becomes F32).
 * The norm's axes follow from g's shape. Other tensors are copied byte for byte, and so is the metadata. Works one
 * tensor at a time, and writes a complete file or none; `output` may be `input`.
 * @returns the names of the folded layers, as nn.foldWeightNorm gives them; empty when there was nothing to fold.
 */
export async function foldCheckpoint(input: string, output: string, options: FoldOptions = {}): Promise<string[]> {
  const device = options.device ?? Device.get('cpu');
  checkPath(output, 'output');
  return withInput(checkPath(input, 'input'), async (file) => {
    const { tensors, metadata } = await readHeader(file);
    const weights = findNormedWeights(tensors, file.path);
    const byV = new Map(weights.map((weight) => [weight.v, weight]));
    const magnitudes = new Set(weights.map((weight) => weight.g));
    for (const { g, v } of weights) for (const tensor of [g, v]) checkLoadable(tensor, file.path);
    const parts = tensors.filter((tensor) => !magnitudes.has(tensor)).map((tensor) => ({ tensor, weight: byV.get(tensor) }));
    const total = parts.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
    await writeAtomically(output, async (write) => {
      await write(
        encodeHeader(
          parts.map(({ tensor, weight }) => (weight ? { name: weight.name, dtype: foldedDtype(weight), shape: tensor.shape } : tensor)),
          metadata,
        ),
      );
      let done = 0;
      for (const { tensor, weight } of parts) {
        if (options.signal?.aborted) fail('ERR_ABORTED', `folding ${file.path} was aborted`, options.signal.reason);
        if (weight) await write(await fold(file, weight, device));
        else await copy(file, tensor, write);
        done += tensor.bytes;
        options.onProgress?.(done / total);
      }
    });
    return weights.map(({ name }) => layerName(name));
  });
}

function checkLoadable(tensor: StoredTensor, path: string): void {
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

function foldedDtype({ v }: NormedWeight): string {
  return v.dtype === 'F64' ? 'F32' : v.dtype;
}

async function fold(file: InputFile, weight: NormedWeight, device: Device): Promise<ArrayBufferView> {
  const axes = normAxes(weight.g, weight.v, file.path);
  const v = await loadStored(file, weight.v, device);
  const g = await loadStored(file, weight.g, device, 'float32');
  try {
    const w = scope(() => weightNorm(v, g.reshape(weight.v.shape.map((_, axis) => weight.g.shape[axis] ?? 1)), axes));
    const values = w.readRaw();
    w.dispose();
    return await values;
  } finally {
    v.dispose();
    g.dispose();
  }
}

async function copy(file: InputFile, tensor: StoredTensor, write: Write): Promise<void> {
  const buffer = new Uint8Array(Math.min(block, tensor.bytes));
  for (let done = 0; done < tensor.bytes; ) {
    const part = buffer.subarray(0, Math.min(block, tensor.bytes - done));
    await file.readInto(part, tensor.offset + done);
    await write(part);
    done += part.length;
  }
}
