// Reports of bench/streaming.mjs as the table of docs/streaming.md.
import { readFileSync } from 'node:fs';

const names = { voice: 'the bundled voice (V2)', v1: 'V1', v3: 'V3' };
/** Median and quartiles. */
export const range = ({ median, low, high }) => `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;

function* cells({ model, threads, auto, direct, firstAudioMs, many }) {
  yield names[model];
  yield String(threads);
  yield range(direct.processorRatio);
  yield range(auto.processorRatio);
  yield `${auto.pushMs.median.toFixed(1)}, ${auto.pushMs.p99.toFixed(1)}`;
  yield firstAudioMs.median.toFixed(1);
  yield many.ofOffline.median.toFixed(2);
  yield many.p99OfFairShare.worst.toFixed(2);
}

export function table(files) {
  const reports = files.map((file) => JSON.parse(readFileSync(file, 'utf8')));
  const { streams } = reports[0].settings;
  const heads = [
    '',
    'threads',
    '`direct`',
    'default',
    'ms a push, p99',
    'ms to first audio',
    `${streams} streams: of one utterance's rate`,
    'p99 in fair shares',
  ];
  const line = (list) => `| ${list.join(' | ')} |`.replace('|  |', '| |');
  return [line(heads), `|${'---|'.repeat(heads.length)}`, ...reports.flatMap(({ rows }) => rows.map((row) => line([...cells(row)])))];
}
