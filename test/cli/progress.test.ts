import { Progress } from '../../dist/cli/progress';

function terminal(isTTY: boolean, columns = 80): { stream: NodeJS.WriteStream; written: string[] } {
  const written: string[] = [];
  const stream = { isTTY, columns, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  return { stream, written };
}

test('a terminal gets a bar that fills, and is left clean', () => {
  const { stream, written } = terminal(true);
  const progress = new Progress(stream);
  expect(progress.visible).toBe(true);
  progress.update('folding', 0);
  progress.update('folding', 0.5);
  progress.update('folding', 0.5);
  progress.update('folding', 1);
  progress.clear();
  progress.clear();
  expect(written).toEqual([
    `\r\x1b[K${'░'.repeat(30)}   0% folding`,
    `\r\x1b[K${'█'.repeat(15)}${'░'.repeat(15)}  50% folding`,
    `\r\x1b[K${'█'.repeat(30)} 100% folding`,
    '\r\x1b[K',
  ]);
});

test('a bar never wraps on a narrow terminal', () => {
  const { stream, written } = terminal(true, 20);
  new Progress(stream).update('folding', 0.5);
  expect(written).toEqual([`\r\x1b[K${'█'.repeat(15)}${'░'.repeat(4)}`]);
});

test('what is no terminal gets nothing', () => {
  const { stream, written } = terminal(false);
  const progress = new Progress(stream);
  progress.update('folding', 0.5);
  progress.clear();
  expect([progress.visible, written]).toEqual([false, []]);
});
