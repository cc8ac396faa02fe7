/** Prints one line a topic (a folder under test/): `NAME: N passed, N failed`. */
const path = require('node:path');

module.exports = class CountReporter {
  constructor() {
    this.counts = new Map();
  }

  onTestResult(test, result) {
    const topic = path
      .relative(__dirname, test.path)
      .split(path.sep)[0]
      .replace(/\.test\.ts$/, '');
    const count = this.counts.get(topic) ?? { passed: 0, failed: 0 };
    count.passed += result.numPassingTests;
    count.failed += result.numFailingTests + (result.testExecError ? 1 : 0);
    this.counts.set(topic, count);
  }

  onRunComplete() {
    const suffix = `${/softmetal/.test(process.env.WEIGHTNORM_ADDON ?? '') ? '-simulated' : ''}${process.env.WEIGHTNORM_MPS === '0' ? '-without-mps' : ''}${process.env.SOFTMETAL_FAST_MATH === '1' ? '-fast-math' : ''}`;
    for (const [topic, { passed, failed }] of [...this.counts].sort()) console.log(`${topic}${suffix}: ${passed} passed, ${failed} failed`);
  }
};
