// The parts of the native tests of the Metal backend, which coverage and mutation tests run one by one.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../scripts/run.mjs';

const programs = [
  { program: 'native_metal', folder: 'native/test/metal' },
  { program: 'native_metal_kernels', folder: 'native/test/metal_kernels' },
];

/** GPUs that allow smaller threadgroups, and that flush subnormals: as ctest runs the kernels' tests. */
export const variants = {
  plain: {},
  small: { SOFTMETAL_MAX_THREADS: '64' },
  flushed: { SOFTMETAL_FLUSH_SUBNORMALS: '1' },
};

/** Every part: `name` is unique; `sources` are the files that say what it checks. */
export function parts() {
  return programs.flatMap(({ program, folder }) => {
    const text = (name) => readFileSync(path.join(root, folder, name), 'utf8');
    const table = [...text('main.cc').matchAll(/\{"([a-z-]+)", (?:\w+::)?(\w+)\}/g)];
    if (table.length < 3) throw new Error(`${folder}/main.cc: its table of parts was not found`);
    const files = readdirSync(path.join(root, folder));
    const kinds = program === 'native_metal_kernels' ? Object.keys(variants) : ['plain'];
    return table.flatMap(([, part, run]) => {
      const own = files.filter((file) => file.endsWith('.cc') && new RegExp(`^void ${run}\\(\\) \\{`, 'm').test(text(file)));
      // A part that main.cc itself puts together runs all the others.
      const tests = own.length === 1 && own[0] !== 'main.cc' ? own : files.filter((file) => file.endsWith('.cc'));
      const sources = [...new Set([...tests, 'harness.cc'])].map((file) => `${folder}/${file}`);
      return kinds.map((variant) => ({
        name: `${program} ${part}${variant === 'plain' ? '' : ` (${variant})`}`,
        program,
        part,
        variant,
        sources,
        env: variants[variant],
      }));
    });
  });
}
