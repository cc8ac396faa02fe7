/** Specs import the built package by its own name, as users do. */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  transform: { '\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } }] },
  moduleNameMapper: { '^weightnorm$': '<rootDir>/dist/index.js' },
  // Faults of a device exist on the software Metal only; documents and workflows are about the build that users have.
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(/softmetal/.test(process.env.WEIGHTNORM_ADDON ?? '') ? ['<rootDir>/test/docs/', '<rootDir>/test/workflows/'] : ['<rootDir>/test/metal/']),
  ],
  modulePathIgnorePatterns: ['<rootDir>/build', '<rootDir>/dist'],
  testTimeout: 60_000,
  maxWorkers: 2,
  reporters: ['default', '<rootDir>/test/reporter.cjs'],
};
