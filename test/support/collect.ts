import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Device } from 'weightnorm';

setFlagsFromString('--expose-gc');
const gc: () => void = runInNewContext('gc');

/** Has the tensors that earlier tests left behind collected, so that what follows can count its own. */
export async function collectGarbage(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * The live tensors of `device` that something still holds. Take it before whatever awaits: tensors that earlier tests dropped,
 * in other files of the same process too, would otherwise be collected meanwhile and make a leak look like none, or none like a fault.
 */
export async function heldTensors(device: Device): Promise<number> {
  await device.synchronize();
  await collectGarbage();
  return device.memory().tensors;
}
