import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';

/** Milliseconds that an event loop was late. */
export interface Delays {
  /** Of messages from another thread, one a millisecond: how long after it was posted each was received. */
  p99: number;
  longest: number;
  /** Of perf_hooks' timer. Timers of Node are whole milliseconds, so a loop that something else wakes shows up to 1 ms more than it was held up. */
  timerP99: number;
  /** How often the body ran. */
  rounds: number;
}

const ticker = `
const { parentPort } = require('node:worker_threads');
const never = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  Atomics.wait(never, 0, 0, 1);
  parentPort.postMessage(performance.timeOrigin + performance.now());
}`;

/** Delays of this thread's event loop while `body` runs again and again for some milliseconds. */
export async function eventLoopDelays(milliseconds: number, body: () => Promise<unknown>): Promise<Delays> {
  const worker = new Worker(ticker, { eval: true });
  try {
    await once(worker, 'message');
    const late: number[] = [];
    worker.on('message', (posted: number) => late.push(performance.timeOrigin + performance.now() - posted));
    const timer = monitorEventLoopDelay({ resolution: 1 });
    timer.enable();
    const end = performance.now() + milliseconds;
    let rounds = 0;
    do {
      await body();
      rounds++;
    } while (performance.now() < end);
    timer.disable();
    late.sort((a, b) => a - b);
    // The histogram counts from timer to timer: the millisecond of the timer itself is no delay.
    const timerP99 = Math.max(0, timer.percentile(99) / 1e6 - 1);
    return { p99: late[Math.floor(late.length * 0.99)] ?? 0, longest: late.at(-1) ?? 0, timerP99, rounds };
  } finally {
    await worker.terminate();
  }
}
