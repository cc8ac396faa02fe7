/** float16 bits as float32 values, exactly. */
export function widenHalf(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i] as number;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const magnitude =
      exponent === 31 ? (fraction ? Number.NaN : Number.POSITIVE_INFINITY) : exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
    values[i] = half & 0x8000 ? -magnitude : magnitude;
  }
  return values;
}
