import fc from 'fast-check';
import type { Device } from 'weightnorm';
import { elementwise } from './elementwise';
import { handles, runScope } from './handles';
import { layers } from './layers';
import { moves } from './moves';
import { norms } from './norms';
import { products } from './products';
import { type Step, World } from './world';

const all: Record<string, (w: World) => void> = { ...elementwise, ...moves, ...norms, ...products, ...handles, ...layers };
// Simplest first: what a failing program shrinks to.
const names = ['create', ...Object.keys(all).filter((name) => name !== 'create')];

const numbers = fc.array(fc.nat(997), { minLength: 4, maxLength: 24 });
const step: fc.Arbitrary<Step> = fc.record({ op: fc.constantFrom(...names), n: numbers });
const scopeStep: fc.Arbitrary<Step> = fc.record({ op: fc.constant('scope'), n: numbers, body: fc.array(step, { maxLength: 6 }) });

/** Programs of up to `most` steps. */
export const programs = (most: number): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof({ weight: 12, arbitrary: step }, { weight: 1, arbitrary: scopeStep }), { minLength: 1, maxLength: most, size: 'max' });

/** Runs a program and holds every step, then every value, to the model; gives everything back. Throws where they differ. */
export async function runProgram(devices: readonly Device[], program: readonly Step[]): Promise<World> {
  const world = new World(devices);
  const run = (each: Step): void => {
    world.begin(each);
    if (each.op === 'scope') runScope(world, each, run);
    else all[each.op]?.(world);
  };
  try {
    for (const each of program) {
      if (each.op === 'synchronize') await Promise.all(devices.map((device) => device.synchronize()));
      else run(each);
      world.verifyAll();
    }
    await world.finish();
    // No operation failed without anybody being told.
    for (const device of devices) await device.synchronize();
  } finally {
    world.dispose();
  }
  return world;
}
