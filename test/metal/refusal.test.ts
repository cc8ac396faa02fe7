import { execFile } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(__dirname, '..', '..');

function check(env: Record<string, string>): Promise<{ failed: boolean; out: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/check-refusal.mjs'], { cwd: root, env: { ...process.env, ...env }, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ failed: error !== null, out: stdout + stderr }),
    );
  });
}

describe('the check that hosted Macs run', () => {
  test.each([
    ['a paravirtual GPU', { SOFTMETAL_FAMILY: '0' }, /virtual machine/],
    ['a GPU before Apple7', { SOFTMETAL_FAMILY: '5' }, /Apple7/],
    ['no GPU', { SOFTMETAL_NO_DEVICE: '1' }, /finds no GPU/],
  ])('passes for %s', async (_name, env, reason) => {
    const { failed, out } = await check(env as unknown as Record<string, string>);
    expect(out).toMatch(/refusal: 8 passed, 0 failed/);
    expect(out).toMatch(reason);
    expect(failed).toBe(false);
  });

  test('fails where Metal can be used', async () => {
    const { failed, out } = await check({});
    expect(out).toMatch(/Metal is usable here/);
    expect(failed).toBe(true);
  });
});
