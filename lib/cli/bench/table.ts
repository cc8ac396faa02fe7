import type { Comparison, Figure, Row } from './report.js';
import { published } from './report.js';
import { spread } from './statistics.js';

/** Lines of a table whose columns are as wide as their widest cell; the first is aligned left, and the last with `notes`. */
export function alignColumns(rows: readonly (readonly string[])[], notes = false): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 || (notes && column === row.length - 1) ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
      )
      .join('  ')
      .trimEnd(),
  );
}

export function milliseconds(value: number): string {
  if (value >= 100) return `${value.toFixed(0)} ms`;
  return value >= 1 ? `${value.toFixed(2)} ms` : `${(value * 1000).toFixed(value >= 0.1 ? 0 : 1)} µs`;
}

const versus = ({ to: { by, variant }, speedUp }: Comparison): string =>
  by === 'weightnorm' ? `${(1 / speedUp.median).toFixed(3)}× the time of ${variant}` : `${speedUp.median.toFixed(2)}× ${by} ${variant}`;

/** The rows of one suite as text. */
export function table(rows: readonly Row[]): string[] {
  const head = ['', 'variant', 'device', 'threads', 'median', '±', 'rate', 'error', 'compared, pairwise'];
  let previous = '';
  const body = rows.map((row) => {
    const title = row.case === previous ? '' : row.case;
    previous = row.case;
    const who = row.by === 'weightnorm' ? row.variant : `${row.by} ${row.variant}`;
    const device = row.simulated ? `${row.device} (simulated)` : row.device;
    if (!row.milliseconds) return [title, who, device, String(row.threads), `failed: ${row.failed}`, '', '', '', ''];
    return [
      ...[title, who, device, String(row.threads), milliseconds(row.milliseconds.median), `${(100 * spread(row.milliseconds)).toFixed(0)}%`],
      row.rate ? `${row.rate.value.toFixed(1)} ${row.rate.unit}` : '',
      row.error === undefined ? '' : row.error.toExponential(0),
      row.comparisons.map(versus).join(', '),
    ];
  });
  return alignColumns([head, ...body], true);
}

const short = (value: number): string => (Number.isInteger(value) || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));

export function figureTable(figures: readonly Figure[]): string[] {
  return alignColumns([
    ['', 'device', 'value', 'limit', ''],
    ...figures.map(({ name, device, value, unit, limit, within }) => [
      ...[name, device, `${short(value)} ${unit}`],
      ...(limit === undefined ? ['', ''] : [`${short(limit)} ${unit}`, within ? 'within' : 'EXCEEDED']),
    ]),
  ]);
}

export function publishedLines(): string[] {
  return [
    `reference  ${published.label}:`,
    ...published.speedUps.map(({ family, low, high }) => `           ${family.padEnd(8)}${low.toFixed(2)}–${high.toFixed(2)}×`),
  ];
}
