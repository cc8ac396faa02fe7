// What Apple publishes (or others measured) of its GPUs: float32 TFLOPS where known, and GB/s of memory. Where a chip
// comes in several sizes, the largest.
export const chips = [
  { name: 'M1', teraflops: 2.6, gigabytes: 68 },
  { name: 'M1 Pro', teraflops: 5.3, gigabytes: 205 },
  { name: 'M1 Max', teraflops: 10.6, gigabytes: 410 },
  { name: 'M1 Ultra', teraflops: 21, gigabytes: 800 },
  { name: 'M2', teraflops: 3.6, gigabytes: 102 },
  { name: 'M2 Max', teraflops: 13.6, gigabytes: 410 },
  { name: 'M3', teraflops: 3.6, gigabytes: 102 },
  { name: 'M3 Max', teraflops: 14.3, gigabytes: 410 },
  { name: 'M4', teraflops: 3.8, gigabytes: 120 },
  { name: 'M4 Pro', teraflops: null, gigabytes: 273 },
  { name: 'M4 Max', teraflops: 17.2, gigabytes: 546 },
  { name: 'M5', teraflops: null, gigabytes: 153 },
];

/** Seconds that no run can beat: arithmetic at the peak, or bytes at the full bandwidth, whichever takes longer. */
export function leastSeconds({ flops, bytes }, { teraflops, gigabytes }) {
  const arithmetic = teraflops === null ? 0 : flops / (teraflops * 1e12);
  const memory = bytes / (gigabytes * 1e9);
  return { seconds: Math.max(arithmetic, memory), limit: arithmetic > memory ? 'arithmetic' : 'memory' };
}

/** Operations one after the other, each reading its operands from memory and writing its result there. */
export const oneByOne = (operations, chip) => operations.reduce((sum, operation) => sum + leastSeconds(operation, chip).seconds, 0);
