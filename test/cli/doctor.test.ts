import { readFileSync } from 'node:fs';
import { describeBuild, verification } from '../../dist/cli/verification';

/** What a build says of itself; the kept results are those of this checkout. */
const build = (change: object = {}) => ({ compiler: 'clang 19', metal: true, kernels: 'none', host: 'none', sanitizer: '', ...change });
const kept: { check: string; figure: string; kernels: string; host?: string }[] = JSON.parse(readFileSync('docs/verification.json', 'utf8'));

describe('what doctor says of its build', () => {
  test('results of other sources are not those of this build', () => {
    for (const result of verification(build())) expect(result.ofThisBuild).toBe(false);
    const lines = describeBuild(build()).join('\n');
    expect(lines).not.toMatch(/^verified/m);
    for (const { check } of kept) expect(lines).toMatch(new RegExp(`^not known +${check} +last run on other sources`, 'm'));
  });

  test('results of the same sources are told with their figures', () => {
    for (const { check, figure, kernels, host } of kept) {
      const lines = describeBuild(build({ kernels, host: host ?? 'any' })).join('\n');
      expect(lines).toContain(`kernels ${kernels}`);
      expect(lines.split('\n').some((line) => line.startsWith('verified ') && line.includes(check) && line.endsWith(figure))).toBe(true);
      if (host) expect(verification(build({ kernels })).find((result) => result.check === check)?.ofThisBuild).toBe(false);
    }
  });

  test('without Metal nothing is claimed', () => {
    expect(describeBuild(build({ metal: false, kernels: '', host: '' }))).toEqual([
      'build      clang 19, without Metal',
      'verified   nothing of the Metal backend: it is not in this build',
    ]);
    for (const { kernels, host } of kept) for (const result of verification(build({ metal: false, kernels, host }))) expect(result.ofThisBuild).toBe(false);
  });

  test('a sanitizer is named', () => {
    expect(describeBuild(build({ sanitizer: 'address' }))[0]).toBe('build      clang 19, with Metal and Metal Performance Shaders, address sanitizer');
  });
});
