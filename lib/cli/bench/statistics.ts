/** A distribution in five numbers: `low` and `high` are the quartiles. */
export interface Summary {
  median: number;
  low: number;
  high: number;
  best: number;
  samples: number;
}

function quantile(sorted: readonly number[], part: number): number {
  const at = part * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number];
  return below + (above - below) * (at - Math.floor(at));
}

export function summarize(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    low: quantile(sorted, 0.25),
    high: quantile(sorted, 0.75),
    best: sorted[0] as number,
    samples: sorted.length,
  };
}

/** Half the distance of the quartiles, in parts of the median. */
export function spread({ median, low, high }: Summary): number {
  return median === 0 ? 0 : (high - low) / (2 * median);
}

/** Something that can be timed. */
export interface Timed {
  /** Seconds that `repeats` calls take together. */
  time(repeats: number): Promise<number>;
  /** The most calls that may be timed together. */
  readonly mostRepeats: number;
  /** How long its threads may go on polling after a call, and disturb who is timed next. */
  readonly pollsMilliseconds?: number;
}

export interface Schedule {
  rounds: number;
  /** A sample repeats its call until it lasts this long. */
  leastSeconds: number;
  signal?: AbortSignal | undefined;
  onRound?: ((fraction: number) => void) | undefined;
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A subject's samples: seconds of one call. */
export interface Timing {
  seconds: number[];
  repeats: number;
  /** What went wrong; then there are no more samples. */
  failed?: string;
}

/**
 * Times all subjects in turn, round after round, so that what disturbs the machine disturbs all of them: sample i of one
 * pairs with sample i of another. Each sample follows a pause, in which the threads of the one before fall asleep, and then as
 * many untimed calls: processors that have slept begin slowly, and one call of a peer may be many layers.
 */
export async function interleave<S extends Timed>(subjects: readonly S[], schedule: Schedule): Promise<Map<S, Timing>> {
  const timings = new Map(subjects.map((subject): [S, Timing] => [subject, { seconds: [], repeats: 1 }]));
  const attempt = async (subject: S, body: (timing: Timing) => Promise<void>): Promise<void> => {
    const timing = timings.get(subject) as Timing;
    schedule.signal?.throwIfAborted();
    try {
      if (timing.failed === undefined) await body(timing);
    } catch (error) {
      timing.failed = (error as Error).message;
    }
  };
  for (const subject of subjects) {
    await attempt(subject, async (timing) => {
      await subject.time(1);
      const once = Math.max(await subject.time(1), 1e-7);
      timing.repeats = Math.max(1, Math.min(subject.mostRepeats, Math.ceil(schedule.leastSeconds / once)));
    });
  }
  let polls = 0;
  for (let round = 0; round < schedule.rounds; round++) {
    // Forwards and backwards by turns, so that none always follows the same other one, whose data fill the caches.
    const order = round % 2 === 0 ? subjects : [...subjects].reverse();
    for (let i = 0; i < order.length; i++) {
      const subject = order[(i + round) % order.length] as S;
      await attempt(subject, async (timing) => {
        await pause(Math.max(2, polls));
        polls = subject.pollsMilliseconds ?? 0;
        await subject.time(timing.repeats);
        timing.seconds.push((await subject.time(timing.repeats)) / timing.repeats);
      });
    }
    schedule.onRound?.((round + 1) / schedule.rounds);
  }
  return timings;
}

/** Sample by sample, how many times longer `other` took. */
export function pairwise(own: readonly number[], other: readonly number[]): Summary {
  return summarize(own.map((seconds, i) => (other[i] as number) / seconds));
}
