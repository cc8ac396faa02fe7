import type { DType } from '../dtype.js';
import { describe, fail } from '../errors.js';
import { untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { writeAtomically } from './file.js';
import { encodeHeader } from './safetensors-header.js';

const formatNames: Readonly<Record<DType, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

/**
 * Writes tensors as a safetensors file, in their own dtypes, widest first. The values are those of this moment: writing to or
 * disposing a tensor while the file is written changes nothing. The file appears complete or not at all.
 * @throws WeightNormError ERR_IO if the file cannot be written; what an existing file held is kept.
 */
export async function saveSafetensors(path: string, tensors: ReadonlyMap<string, Tensor>, metadata?: Record<string, string>): Promise<void> {
  if (Object.prototype.toString.call(tensors) !== '[object Map]') fail('ERR_ARGUMENT', `tensors is ${describe(tensors)}; it must be a Map of names to Tensors`);
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (typeof value !== 'string') fail('ERR_ARGUMENT', `metadata.${key} is ${describe(value)}; it must be a string`);
  }
  for (const [name, tensor] of tensors) {
    if (typeof name !== 'string' || name === '__metadata__')
      fail('ERR_ARGUMENT', `tensors has the key ${describe(name)}; keys must be strings other than "__metadata__"`);
    nativeOf(tensor, `tensor ${describe(name)}`);
  }
  // A view keeps the storage of this moment.
  const snapshot = untracked(() => [...tensors].map(([name, tensor]) => ({ name, values: tensor.reshape(tensor.shape) })));
  snapshot.sort((a, b) => b.values.byteLength / b.values.size - a.values.byteLength / a.values.size);
  try {
    await writeAtomically(path, async (write) => {
      const entries = snapshot.map(({ name, values }) => ({ name, dtype: formatNames[values.dtype], shape: values.shape }));
      await write(encodeHeader(entries, metadata ?? null));
      for (const { values } of snapshot) await write(await values.readRaw());
    });
  } finally {
    for (const { values } of snapshot) values.dispose();
  }
}
