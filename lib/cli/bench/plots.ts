import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { BenchReport, Family, Row } from './report.js';
import { barChart, logChart, type Series } from './svg.js';

const families: readonly Family[] = ['Linear', 'Conv1d', 'Conv2d'];
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Writes the plots that the rows of a report allow into a folder; returns their paths. */
export async function writePlots(folder: string, report: BenchReport): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const written: string[] = [];
  const write = async (name: string, svg: string): Promise<void> => {
    written.push(path.join(folder, name));
    await writeFile(path.join(folder, name), svg);
  };
  const threads = Math.max(...report.rows.map((row) => row.threads), 1);
  const rows = report.rows.filter((row) => row.milliseconds && row.by === 'weightnorm' && (row.device !== 'cpu' || row.threads === threads));
  const note = `${report.machine.cpu}, ${threads} thread${threads === 1 ? '' : 's'}`;

  const bars = rows.flatMap((row) =>
    row.comparisons
      .filter(({ to }) => to.by !== 'weightnorm')
      .map(({ to, speedUp }) => ({
        label: row.case,
        series: `${row.variant} (${row.device}) over ${to.by} ${to.variant} (${to.device})`,
        value: speedUp.median,
        low: speedUp.low,
        high: speedUp.high,
      })),
  );
  if (bars.length > 0) await write('speed-up.svg', barChart(`Speed-up, median of pairwise ratios: ${note}`, bars, '×', 1));

  const costs = rows.flatMap((row) =>
    row.comparisons
      .filter(({ to }) => to.by === 'weightnorm' && row.suite !== 'ops')
      .map(({ to, speedUp }) => ({
        label: row.case,
        series: `${row.variant} over ${to.variant} (${row.device})`,
        value: 1 / speedUp.median,
        low: 1 / speedUp.high,
        high: 1 / speedUp.low,
      })),
  );
  if (costs.length > 0) await write('cost.svg', barChart(`Cost of live weight norm, 1 is none: ${note}`, costs, '×', 1));

  const series = sizeSeries(rows);
  if (series.length > 0) await write('size.svg', logChart(`Time against size: ${note}`, series, { x: 'elements of the weight', y: 'milliseconds' }));
  return written;
}

function sizeSeries(rows: readonly Row[]): Series[] {
  const variants = ['op', 'live', 'folded'] as const;
  return families
    .flatMap((family) =>
      variants.flatMap((variant) =>
        [...new Set(rows.map(({ device }) => device))].map(
          (device): Series => ({
            name: `${family} ${variant} (${device})`,
            points: rows
              .filter((row) => row.family === family && row.variant === variant && row.device === device)
              .map((row): [number, number] => [product(row.weight), row.milliseconds?.median as number])
              .sort((a, b) => a[0] - b[0]),
          }),
        ),
      ),
    )
    .filter(({ points }) => points.length > 0);
}
