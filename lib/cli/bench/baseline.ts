import { fail } from '../../errors.js';
import { readText } from '../../io/file.js';
import { parseJson } from '../../io/json.js';
import type { BenchReport, Row } from './report.js';
import { alignColumns, milliseconds } from './table.js';

const largest = 1 << 26;

/** Reads a report that `weightnorm bench --json` wrote. */
export async function loadBaseline(file: string): Promise<BenchReport> {
  const report = parseJson(await readText(file, largest), file) as Partial<BenchReport> | null;
  if (report?.format !== 1 || !Array.isArray(report.rows)) fail('ERR_FORMAT', `${file}: is no report of weightnorm bench --json`);
  return report as BenchReport;
}

export interface BaselineLine {
  case: string;
  own: Pick<Row, 'variant' | 'device' | 'threads'> & { milliseconds: number };
  recorded: Pick<Row, 'by' | 'variant' | 'device' | 'threads'> & { milliseconds: number };
  /** Recorded time over ours: not paired, taken at another time and perhaps on another machine. */
  speedUp: number;
}

/** Our rows beside the recorded ones of the same case and variant. */
export function compareWithBaseline(rows: readonly Row[], { rows: recorded }: BenchReport): BaselineLine[] {
  return rows.flatMap((row) =>
    row.by !== 'weightnorm' || !row.milliseconds
      ? []
      : recorded
          .filter(
            (other) =>
              other.case === row.case && other.variant === row.variant && other.milliseconds && (other.device !== 'cpu' || other.threads === row.threads),
          )
          .map((other) => {
            const [own, theirs] = [row.milliseconds?.median as number, other.milliseconds?.median as number];
            return {
              case: row.case,
              own: { variant: row.variant, device: row.device, threads: row.threads, milliseconds: own },
              recorded: { by: other.by, variant: other.variant, device: other.device, threads: other.threads, milliseconds: theirs },
              speedUp: theirs / own,
            };
          }),
  );
}

export interface BaselineComparison extends Pick<BenchReport, 'date' | 'machine'> {
  file: string;
  lines: BaselineLine[];
}

export function baselineLines({ file, date, machine, lines }: BaselineComparison): string[] {
  return [
    `recorded   ${file}: ${machine.cpu}, ${date}; not measured in this run`,
    ...alignColumns([
      ['', 'variant', 'now', 'recorded', 'by', ''],
      ...lines.map(({ case: name, own, recorded, speedUp }) => [
        ...[
          name,
          own.variant,
          milliseconds(own.milliseconds),
          milliseconds(recorded.milliseconds),
          `${recorded.by} ${recorded.device}`,
          `${speedUp.toFixed(2)}×`,
        ],
      ]),
    ]),
  ];
}
