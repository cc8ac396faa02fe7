import { release } from 'node:os';
import { Device, deviceOf } from '../device.js';
import { type DType, dtypes } from '../dtype.js';
import { addon } from '../native.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { Command } from './command.js';
import { type DoctorCase, doctorCases, type Make } from './doctor-cases.js';
import { describeBuild, verification } from './verification.js';

interface Check {
  name: string;
  dtype: DType;
  mps: boolean;
  /** Error over what is allowed: above 1 is a mismatch. */
  error: number;
  message?: string;
}

export const doctor: Command = {
  help: `Usage: weightnorm doctor [options]

Says what this machine and this build are, compiles every Metal kernel and tells how long each took, and checks every
kernel, variant and dtype against the CPU, with Metal Performance Shaders on and off. Exit code 1 on any mismatch.
The first use of each kernel compiles it; the system keeps the result, so later runs are quicker.

Options:`,
  positionals: [],
  options: {},
  run: async ({ signal, progress }) => {
    const metal = addon.listDevices().find(({ type }) => type === 'metal');
    const device = metal?.available ? Device.get('metal') : undefined;
    const machine = { platform: process.platform, release: release(), arch: process.arch, node: process.versions.node, build: addon.build };
    const cases = doctorCases().filter(({ heavy }) => !heavy || !metal?.simulated);
    const checks: Check[] = [];
    if (device) {
      const total = cases.length * dtypes.length + cases.filter(isProduct).length;
      const run = async (item: DoctorCase, dtype: DType, mps: boolean): Promise<void> => {
        signal.throwIfAborted();
        checks.push({ name: item.name, dtype, mps, ...(await compare(item, device, dtype)) });
        progress.update('checking kernels', checks.length / total);
      };
      for (const dtype of dtypes) for (const item of cases) await run(item, dtype, true);
      await withoutMps(async () => {
        for (const item of cases.filter(isProduct)) await run(item, 'float32', false);
      });
    }
    const records = device ? addon.compileRecords(deviceOf(device, 'device')) : [];
    const used = new Set(records.map((record) => `${record.library}/${record.function}`));
    const unused = device ? addon.kernelFunctions(deviceOf(device, 'device')).filter((kernel) => !used.has(kernel)) : [];
    const compiled = new Map<string, { count: number; milliseconds: number }>();
    for (const { library, milliseconds } of records) {
      const entry = compiled.get(library) ?? { count: 0, milliseconds: 0 };
      compiled.set(library, { count: entry.count + 1, milliseconds: entry.milliseconds + milliseconds });
    }
    const mismatches = checks.filter(({ error }) => !(error <= 1));
    return {
      failed: mismatches.length > 0,
      json: {
        machine,
        verification: verification(machine.build),
        devices: addon.listDevices(),
        compiled: records,
        notRun: unused,
        checks,
        passed: checks.length - mismatches.length,
        failed: mismatches.length,
      },
      lines: [
        `system     ${machine.platform} ${machine.release}, ${machine.arch}, Node ${machine.node}`,
        ...describeBuild(machine.build),
        ...addon
          .listDevices()
          .map(
            ({ type, name, reason, available, simulated, features }) =>
              `${type.padEnd(11)}${available ? `${name}${simulated ? ' (simulated: no Apple hardware)' : ''}, ${features.join(', ')}` : `not usable: ${reason}`}`,
          ),
        ...[...compiled].map(
          ([library, { count, milliseconds }]) =>
            `compiled   ${library.padEnd(32)}${String(count - 1).padStart(4)} kernels ${milliseconds.toFixed(0).padStart(6)} ms`,
        ),
        ...(unused.length > 0 ? [`not run    ${unused.join(', ')}`] : []),
        ...mismatches.map(
          ({ name, dtype, mps, error, message }) =>
            `MISMATCH   ${name}, ${dtype}${mps ? '' : ', without MPS'}: ${message ?? `${error.toPrecision(3)} times what is allowed`}`,
        ),
        device
          ? `checks     ${checks.length - mismatches.length} passed, ${mismatches.length} failed`
          : 'checks     none: there is no Metal device to compare with the CPU',
      ],
    };
  },
};

const isProduct = ({ name }: DoctorCase): boolean => /^(linear|matrix)/.test(name);

async function withoutMps(body: () => Promise<void>): Promise<void> {
  const before = process.env.WEIGHTNORM_MPS;
  process.env.WEIGHTNORM_MPS = '0';
  try {
    await body();
  } finally {
    if (before === undefined) delete process.env.WEIGHTNORM_MPS;
    else process.env.WEIGHTNORM_MPS = before;
  }
}

function outputs(item: DoctorCase, device: Device, dtype: DType): Tensor[] {
  return scope(() => {
    let seed = 1;
    const make: Make = { device, dtype, randn: (...shape) => device.randn(shape, { seed: seed++, dtype }) };
    return item.run(make);
  });
}

const mantissaBits = { float32: 23, float16: 10, bfloat16: 7 } as const;

async function compare(item: DoctorCase, device: Device, dtype: DType): Promise<{ error: number; message?: string }> {
  try {
    const actual = outputs(item, device, dtype);
    const expected = outputs(item, Device.get('cpu'), dtype);
    let worst = 0;
    for (let i = 0; i < actual.length; i++) {
      const [a, e] = [await (actual[i] as Tensor).read(), await (expected[i] as Tensor).read()];
      worst = Math.max(worst, item.terms === undefined ? elementwise(a, e, dtype, item.cancels) : relative(a, e, dtype, item.terms));
      (actual[i] as Tensor).dispose();
      (expected[i] as Tensor).dispose();
    }
    return { error: worst };
  } catch (error) {
    return { error: Number.POSITIVE_INFINITY, message: (error as Error).message };
  }
}

/** Two results that each keep the tolerance of the layers may differ by twice that. */
function relative(actual: Float32Array, expected: Float32Array, dtype: DType, terms: number): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2;
    size += (expected[i] as number) ** 2;
  }
  const unit = dtype === 'float32' ? 0 : 2 ** -mantissaBits[dtype];
  const ratio = Math.sqrt(difference / (size || 1)) / (2 * (3e-6 * Math.max(1, Math.sqrt(terms / 4096)) + unit));
  return Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
}

function elementwise(actual: Float32Array, expected: Float32Array, dtype: DType, cancels = false): number {
  let largest = 0;
  for (const value of expected) largest = Math.max(largest, Math.abs(value));
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const size = Math.abs(expected[i] as number);
    // 8 ulp of the value, or where it is small (gelu's tail) a part of the last place of its largest neighbour; where terms cancel, all of it.
    const least = Math.max(largest * 2 ** (cancels ? -3 : -8), 2 ** -126);
    const unit = 2 ** (Math.floor(Math.log2(Math.max(size, least))) - mantissaBits[dtype]);
    const error = Math.abs((actual[i] as number) - (expected[i] as number)) / (8 * unit);
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return worst;
}
