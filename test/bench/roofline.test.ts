import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { devices } from '../support/devices';

const simulated = devices.some(([, device]) => device.info.simulated);
const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-roofline-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Counting needs the software Metal, under which `npm test` runs every spec a second time.
(simulated ? describe : describe.skip)('the roofline', () => {
  test('every check passes: dispatches, command buffers, results written once; bounds are positive', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['bench/roofline.mjs', '--json', '--size', 'smallest', '--plots', folder]);
    const report = JSON.parse(stdout);
    expect(report.checks.filter(({ ok }: { ok: boolean }) => !ok)).toEqual([]);
    expect(report.checks.length).toBeGreaterThan(30);
    expect(report.note).toMatch(/lower bounds .* not measurements/);
    const [model] = report.models;
    expect(model).toMatchObject({ name: 'tiny', commandBuffers: 1, operations: model.dispatches });
    // From the tiny generator's layers, by hand: 2 · weights · positions of each, over 8 frames.
    const [mels, rates] = [8, [2, 2]];
    let [channels, length] = [8, 8];
    let flops = 2 * mels * channels * 7 * length;
    for (const rate of rates) {
      flops += 2 * channels * (channels / 2) * 4 * length;
      [channels, length] = [channels / 2, length * rate];
      flops += 4 * 2 * channels * channels * 3 * length;
    }
    flops += 2 * channels * 7 * length;
    expect(model.bounds.flops).toBe(flops);
    for (const { seconds, oneByOne } of model.bounds.chips) expect(0 < seconds && seconds <= oneByOne).toBe(true);
    for (const { least, bytesRead, bytesWritten } of [...report.models, ...report.ops]) {
      expect(bytesRead).toBeGreaterThanOrEqual(least.reads);
      expect(bytesWritten).toBe(least.writes);
    }
    expect(readFileSync(path.join(folder, 'roofline.svg'), 'utf8')).toMatch(/^<svg [\s\S]*not measurements[\s\S]*<\/svg>\n$/);
  });
});
