import { foldCheckpoint } from '../io/convert-checkpoint.js';
import { type Command, required } from './command.js';

export const fold: Command = {
  help: `Usage: weightnorm fold <in> -o <out.safetensors> [options]

Writes the checkpoint (safetensors, torch or .npz) with every weight-normalised weight, in either of torch's spellings (weight_g and weight_v, or
parametrizations.weight.original0 and original1), as a plain weight. Everything else is copied byte for byte. Parts of a
nested checkpoint are picked by weightnorm convert.

Options:
  -o, --output   the file to write; it may be the input`,
  positionals: ['the input file'],
  options: { output: { type: 'string', short: 'o' } },
  run: async ({ positionals, values, signal, progress }) => {
    const input = positionals[0] as string;
    const output = required(values, 'output', 'the output file (-o out.safetensors)');
    const folded = await foldCheckpoint(input, output, { signal, onProgress: (fraction) => progress.update('folding', fraction) });
    return {
      json: { input, output, folded },
      lines: [folded.length === 0 ? `${output}: a copy; no weight of ${input} is weight-normalised` : `${output}: ${folded.length} weights folded`],
    };
  },
};
