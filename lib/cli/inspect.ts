import { type Checkpoint, withCheckpoint } from '../io/checkpoint.js';
import type { StoredTensor } from '../io/stored.js';
import type { TorchValue } from '../io/torch/flatten.js';
import { parseNormedKey } from '../io/weight-norm-keys.js';
import type { Command } from './command.js';

export const inspect: Command = {
  help: `Usage: weightnorm inspect <file> [options]

Lists the tensors of a checkpoint (safetensors, torch or .npz) with their dtypes, shapes and sizes, and how each layer spells its weight; of a
torch file also the numbers and the text beside them. Nothing of the file is run, and no tensor is loaded.

Options:`,
  positionals: ['the input file'],
  options: {},
  run: async ({ positionals }) => {
    const path = positionals[0] as string;
    const { format, bytes, tensors, metadata, values } = await withCheckpoint(path, async (checkpoint): Promise<Checkpoint> => checkpoint);
    const layers = spellings(tensors);
    const parameters = tensors.reduce((sum, tensor) => sum + elements(tensor), 0);
    const kinds = [...new Set(layers.map(({ spelling }) => spelling))];
    const summary = kinds.map((kind) => `${layers.filter(({ spelling }) => spelling === kind).length} ${kind}`).join(', ');
    return {
      json: {
        file: path,
        format,
        bytes,
        parameters,
        metadata: metadata ?? {},
        tensors: tensors.map((tensor) => ({ name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, parameters: elements(tensor), bytes: tensor.bytes })),
        layers,
        values: Object.fromEntries([...values].map(([name, value]) => [name, plain(value)])),
      },
      lines: [
        ...table(
          ['tensor', 'dtype', 'shape', 'parameters', 'bytes'],
          tensors.map((tensor) => [tensor.name, tensor.dtype, `[${tensor.shape.join(', ')}]`, elements(tensor), tensor.bytes]),
        ),
        '',
        ...table(
          ['weight', 'spelling'],
          layers.map(({ name, spelling }) => [name, spelling]),
        ),
        '',
        ...[...values].map(([name, value]) => `value       ${printable(name)}: ${shortened(printable(String(JSON.stringify(plain(value)))))}`),
        ...Object.entries(metadata ?? {}).map(([key, value]) => `metadata    ${printable(key)}: ${printable(value)}`),
        `format      ${format}`,
        `weights     ${layers.length}${summary ? `: ${summary}` : ''}`,
        `parameters  ${parameters} in ${tensors.length} tensors`,
        `bytes       ${bytes}`,
      ],
    };
  },
};

function elements({ shape }: StoredTensor): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** What JSON can say of a value: bytes in hexadecimal, and as text the numbers that it does not know. */
function plain(value: TorchValue): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value;
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 197)}...` : text;
}

/** The weights of a checkpoint, and how each is spelled: 'weight_g/weight_v', 'parametrizations' or 'plain'. */
function spellings(tensors: readonly StoredTensor[]): { name: string; spelling: string }[] {
  const found = new Map<string, Set<string>>();
  for (const { name } of tensors) {
    const normed = parseNormedKey(name);
    if (!normed && !/(^|\.)weight\w*$/.test(name)) continue;
    const weight = normed?.name ?? name;
    found.set(weight, (found.get(weight) ?? new Set()).add(normed?.spelling ?? 'plain'));
  }
  return [...found].map(([name, kinds]) => ({ name, spelling: [...kinds].join(' and ') }));
}

/** Rows as lines; numbers are aligned right. */
function table(head: string[], rows: (string | number)[][]): string[] {
  const cells = [head, ...rows].map((row) => row.map((cell) => printable(String(cell))));
  const widths = head.map((_, column) => cells.reduce((width, row) => Math.max(width, (row[column] as string).length), 0));
  const numeric = head.map((_, column) => typeof rows[0]?.[column] === 'number');
  return cells.map((row) =>
    row
      .map((cell, column) => (numeric[column] ? cell.padStart(widths[column] as number) : cell.padEnd(widths[column] as number)))
      .join('  ')
      .trimEnd(),
  );
}

/** Text of a file without what a terminal would obey. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u${(char.codePointAt(0) as number).toString(16).padStart(4, '0')}`);
}
