/** Text that is safe inside XML. */
const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] as string);

const colours = ['#1f6feb', '#d1242f', '#2da44e', '#8250df', '#bf8700', '#57606a', '#0a7ea4', '#cf5c9c', '#7d4e00', '#5a9e1b', '#e0700f', '#1b1f24'];
const colour = (index: number): string => colours[index % colours.length] as string;

const text = (x: number, y: number, label: string, extra = ''): string => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${extra}>${escapeXml(label)}</text>`;

function page(width: number, height: number, title: string, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#24292f">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(16, 24, title, 'font-size="15" font-weight="bold"'),
    ...body,
    '</svg>\n',
  ].join('\n');
}

export interface Bar {
  label: string;
  series: string;
  value: number;
  /** Ends of a whisker. */
  low: number;
  high: number;
}

/** Horizontal bars with whiskers, one colour a series, and a line at `mark`. */
export function barChart(title: string, bars: readonly Bar[], unit: string, mark?: number): string {
  const series = [...new Set(bars.map((bar) => bar.series))];
  const [left, top, row, width] = [330, 48 + 18 * series.length, 20, 900];
  const most = Math.max(1e-9, mark ?? 0, ...bars.map(({ value, high }) => Math.max(value, high)));
  const place = (value: number): number => left + ((width - left - 70) * value) / most;
  const height = top + row * bars.length + 28;
  const body = series.map((name, i) => `<rect x="16" y="${38 + 18 * i}" width="12" height="12" fill="${colour(i)}"/>${text(34, 48 + 18 * i, name)}`);
  bars.forEach(({ label, series: name, value, low, high }, i) => {
    const y = top + row * i;
    const [from, to, middle] = [place(low).toFixed(1), place(high).toFixed(1), y + row / 2 - 1];
    body.push(
      text(left - 8, y + 13, label, 'text-anchor="end"'),
      `<rect x="${left}" y="${y + 2}" width="${(place(value) - left).toFixed(1)}" height="${row - 6}" fill="${colour(series.indexOf(name))}"/>`,
      `<line x1="${from}" x2="${to}" y1="${middle}" y2="${middle}" stroke="#24292f"/>`,
      text(place(Math.max(value, high)) + 6, y + 13, `${value.toPrecision(3)}${unit}`),
    );
  });
  if (mark !== undefined)
    body.push(`<line x1="${place(mark).toFixed(1)}" x2="${place(mark).toFixed(1)}" y1="${top}" y2="${height - 22}" stroke="#57606a" stroke-dasharray="4 3"/>`);
  return page(width, height, title, body);
}

export interface Series {
  name: string;
  points: [number, number][];
  /** Points only, without a line between them. */
  scatter?: boolean;
}

/** Series over logarithmic axes. */
export function logChart(title: string, series: readonly Series[], axes: { x: string; y: string }): string {
  const [width, height, left, right, top, bottom] = [900, 520, 80, 250, 48, 60];
  const drawn = series.filter(({ points }) => points.length > 0);
  const range = (axis: 0 | 1): [number, number] => {
    const values = drawn.flatMap(({ points }) => points.map((point) => point[axis])).filter((value) => value > 0);
    return [Math.floor(Math.log10(Math.min(...values, 1e9))), Math.ceil(Math.log10(Math.max(...values, 1e-9)) - 1e-9)];
  };
  const [[x0, x1], [y0, y1]] = [range(0), range(1)];
  const px = (value: number): number => left + ((width - left - right) * (Math.log10(value) - x0)) / Math.max(1, x1 - x0);
  const py = (value: number): number => height - bottom - ((height - top - bottom) * (Math.log10(value) - y0)) / Math.max(1, y1 - y0);
  const decades = (low: number, high: number): number[] => Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const body = [
    ...decades(x0, x1).map(
      (v) =>
        `<line x1="${px(v)}" x2="${px(v)}" y1="${top}" y2="${height - bottom}" stroke="#d0d7de"/>${text(px(v), height - bottom + 18, tick(v), 'text-anchor="middle"')}`,
    ),
    ...decades(y0, y1).map(
      (v) =>
        `<line x1="${left}" x2="${width - right}" y1="${py(v)}" y2="${py(v)}" stroke="#d0d7de"/>${text(left - 8, py(v) + 4, tick(v), 'text-anchor="end"')}`,
    ),
    text((left + width - right) / 2, height - 16, axes.x, 'text-anchor="middle"'),
    `<g transform="translate(18 ${(top + height - bottom) / 2}) rotate(-90)">${text(0, 0, axes.y, 'text-anchor="middle"')}</g>`,
  ];
  drawn.forEach(({ name, points, scatter }, i) => {
    const line = points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(' ');
    if (!scatter) body.push(`<polyline points="${line}" fill="none" stroke="${colour(i)}" stroke-width="1.5"/>`);
    body.push(...points.map(([x, y]) => `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="${scatter ? 5 : 2.5}" fill="${colour(i)}"/>`));
    body.push(
      `<rect x="${width - right + 16}" y="${top + 18 * i}" width="12" height="12" fill="${colour(i)}"/>`,
      text(width - right + 34, top + 10 + 18 * i, name),
    );
  });
  return page(width, height, title, body);
}

const tick = (value: number): string => (value >= 0.001 && value < 1e6 ? String(Number(value.toPrecision(1))) : `1e${Math.round(Math.log10(value))}`);
