import fc from 'fast-check';
import { collectGarbage } from '../support/collect';
import { devices } from '../support/devices';
import { programs, runProgram } from './programs';
import kept from './seeds.json';
import type { Step } from './world';

const simulated = devices.some(([, device]) => device.info.simulated);
const all = devices.map(([, device]) => device);
const runs = Number(process.env.WEIGHTNORM_RANDOM_RUNS ?? (simulated ? 40 : 300));
/** WEIGHTNORM_SEED=n repeats a run. */
const fresh = Number(process.env.WEIGHTNORM_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Live tensors and bytes of every device, once queues and garbage have gone. */
async function figures(): Promise<number[]> {
  await Promise.all(all.map((device) => device.synchronize()));
  await collectGarbage();
  return all.flatMap((device) => [device.memory().tensors, device.memory().liveBytes]);
}

async function holds(seed: number, numRuns: number): Promise<void> {
  const totals = { compared: 0, skipped: 0, done: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(programs(30), async (program) => {
      const { tally, counts } = await runProgram(all, program);
      totals.compared += tally.compared;
      totals.skipped += tally.skipped;
      totals.done += counts.done;
      totals.refused += counts.refused;
    }),
    // No time limit on a program: it would look like a fault.
    { seed, numRuns, endOnFailure: false },
  );
  // The model says something: most calls succeed, some are refused, most values are compared.
  expect(totals.done).toBeGreaterThan(4 * numRuns);
  expect(totals.refused).toBeGreaterThan(numRuns / 4);
  expect(totals.refused).toBeLessThan(totals.done);
  expect(totals.skipped).toBeLessThan(totals.compared / 4);
}

let before: number[];
beforeAll(async () => {
  before = await figures();
});
afterAll(async () => {
  expect(await figures()).toEqual(before);
});

test(`programs of random operations agree with float64 (WEIGHTNORM_SEED=${fresh})`, async () => {
  await holds(fresh, runs);
}, 600_000);

if (kept.seeds.length > 0) {
  test.each(kept.seeds)(
    'programs of the kept seed %i',
    async (seed) => {
      await holds(seed, Math.min(runs, 100));
    },
    600_000,
  );
}

if (kept.programs.length > 0) {
  test.each(kept.programs as { fault: string; steps: Step[] }[])('a program that once showed: $fault', async ({ steps }) => {
    await runProgram(all, steps);
  });
}
