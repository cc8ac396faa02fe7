import { describe, fail } from './errors.js';

/** Element types of tensors; half types are stored in 16 bits and computed in float32. */
export type DType = 'float32' | 'float16' | 'bfloat16';

/** All dtypes, in the order of their codes in the native add-on. */
export const dtypes: readonly DType[] = ['float32', 'float16', 'bfloat16'];

/** Bytes of one element. */
export function itemSize(dtype: DType): number {
  return dtype === 'float32' ? 4 : 2;
}

/** The add-on's code of a dtype; ERR_DTYPE for anything else. */
export function dtypeCode(dtype: unknown, argument = 'dtype'): number {
  const code = dtypes.indexOf(dtype as DType);
  if (code < 0) fail('ERR_DTYPE', `${argument} is ${describe(dtype)}; it must be 'float32', 'float16' or 'bfloat16'`);
  return code;
}
