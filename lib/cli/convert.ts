import { describe } from '../errors.js';
import { convertCheckpoint } from '../io/convert-checkpoint.js';
import { type Command, type Invocation, required, UsageError } from './command.js';

export const convert: Command = {
  help: `Usage: weightnorm convert <in> -o <out.safetensors> [options]

Writes a checkpoint of torch (.pt, .pth, .ckpt, or without extension), NumPy or MLX (.npz), or safetensors as safetensors.
Names are those of the dictionaries it consists of, joined with dots: generator.conv_pre.bias. Nothing of a torch file is
run: it is read as data, and what is no tensor, number or text is refused.

Options:
  -o, --output   the file to write; it may be the input
  --key          only what is below this key, with names that begin after it: generator, state_dict, model.ema
  --fold         weight-normalised weights as plain ones, as weightnorm fold does
  --layout       torch or mlx: mlx moves the channels of convolution weights last (default: torch, as they are)
  --transposed   with --layout mlx, the layers that are transposed convolutions, with * for one part of a name, and =groups
                 where they have any: 'ups.*' or 'up.*.conv,pool=512'. Shapes do not tell; none where there are none`,
  positionals: ['the input file'],
  options: {
    output: { type: 'string', short: 'o' },
    key: { type: 'string' },
    fold: { type: 'boolean' },
    layout: { type: 'string' },
    transposed: { type: 'string' },
  },
  run: async ({ positionals, values, signal, progress }) => {
    const input = positionals[0] as string;
    const output = required(values, 'output', 'the output file (-o out.safetensors)');
    const { layout = 'torch' } = values;
    if (layout !== 'torch' && layout !== 'mlx') throw new UsageError(`--layout is ${describe(layout)}; it must be torch or mlx`);
    const { tensors, folded } = await convertCheckpoint(input, output, {
      key: values.key as string | undefined,
      fold: values.fold === true,
      layout,
      transposed: transposedLayers(values, layout),
      signal,
      onProgress: (fraction) => progress.update('converting', fraction),
    });
    return {
      json: { input, output, tensors, folded },
      lines: [`${output}: ${tensors.length} tensors${values.fold ? `, ${folded.length} of them folded` : ''}`],
    };
  },
};

/** 'ups.*,pool=512' as { 'ups.*': 1, pool: 512 }; 'none' as {}. */
function transposedLayers({ transposed }: Invocation['values'], layout: 'torch' | 'mlx'): Record<string, number> | undefined {
  if (transposed === undefined) {
    if (layout === 'mlx')
      throw new UsageError("--transposed is missing; --layout mlx needs the layers that are transposed convolutions, such as 'ups.*', or none");
    return undefined;
  }
  if (layout !== 'mlx') throw new UsageError('--transposed goes with --layout mlx');
  if (transposed === 'none') return {};
  return Object.fromEntries(
    String(transposed)
      .split(',')
      .map((item) => {
        const [, pattern, groups = '1'] = /^([^=]+)(?:=(\d+))?$/.exec(item.trim()) ?? [];
        if (pattern === undefined)
          throw new UsageError(`--transposed is ${describe(transposed)}; it must be layers such as 'ups.*', or 'pool=512' for one of 512 groups`);
        return [pattern, Number(groups)];
      }),
  );
}
