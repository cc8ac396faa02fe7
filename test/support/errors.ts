import { type ErrorCode, WeightNormError } from 'weightnorm';

/** Runs `fn` and checks the code and the message of what it throws. */
export function expectError(fn: () => unknown, code: ErrorCode, message: RegExp): void {
  let thrown: unknown;
  try {
    fn();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(WeightNormError);
  expect((thrown as WeightNormError).code).toBe(code);
  expect((thrown as WeightNormError).message).toMatch(message);
}
