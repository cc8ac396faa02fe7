import { inspect } from 'node:util';

/** Prints what failed, and how many did: `NAME: N passed, N failed`. */
export default async function* report(source) {
  const count = { passed: 0, failed: 0 };
  for await (const { type, data } of source) {
    if (type === 'test:pass' && data.details.type !== 'suite') {
      count.passed++;
      yield `  ${data.name} (${data.details.duration_ms.toFixed(0)} ms)\n`;
    }
    if (type === 'test:fail' && data.details.type !== 'suite') {
      count.failed++;
      yield `FAILED ${data.name}\n${inspect(data.details.error.cause ?? data.details.error)}\n`;
    }
    if (type === 'test:stderr') yield data.message;
  }
  yield `server: ${count.passed} passed, ${count.failed} failed\n`;
}
