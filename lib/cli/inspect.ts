import { withInput } from '../io/file.js';
import { readHeader, type StoredTensor } from '../io/safetensors-header.js';
import { parseNormedKey } from '../io/weight-norm-keys.js';
import type { Command } from './command.js';

export const inspect: Command = {
  help: `Usage: weightnorm inspect <file.safetensors> [options]

Lists the tensors of a checkpoint with their dtypes, shapes and sizes, and how each layer spells its weight.

Options:`,
  positionals: ['the input file'],
  options: {},
  run: async ({ positionals }) => {
    const path = positionals[0] as string;
    const { bytes, tensors, metadata } = await withInput(path, async (file) => ({ bytes: file.size, ...(await readHeader(file)) }));
    const layers = spellings(tensors);
    const parameters = tensors.reduce((sum, tensor) => sum + elements(tensor), 0);
    const kinds = [...new Set(layers.map(({ spelling }) => spelling))];
    const summary = kinds.map((kind) => `${layers.filter(({ spelling }) => spelling === kind).length} ${kind}`).join(', ');
    return {
      json: {
        file: path,
        bytes,
        parameters,
        metadata: metadata ?? {},
        tensors: tensors.map((tensor) => ({ name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, parameters: elements(tensor), bytes: tensor.bytes })),
        layers,
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
        ...Object.entries(metadata ?? {}).map(([key, value]) => `metadata    ${printable(key)}: ${printable(value)}`),
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
