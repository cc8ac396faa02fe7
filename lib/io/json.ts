import { fail } from '../errors.js';

/** JSON.parse that throws ERR_FORMAT, naming `what`, for bad syntax and for a key that an object repeats. */
export function parseJson(text: string, what: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail('ERR_FORMAT', `${what}: is not valid JSON: ${(error as Error).message.slice(0, 120)}`, error);
  }
  const repeated = repeatedKey(text);
  if (repeated !== null) fail('ERR_FORMAT', `${what}: has the key ${JSON.stringify(repeated)} twice`);
  return value;
}

/** The first key that an object of valid JSON `text` repeats: JSON.parse silently keeps the last of them. */
function repeatedKey(text: string): string | null {
  const objects: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '{') objects.push(new Set());
    else if (char === '}') objects.pop();
    else if (char === '"') {
      const end = stringEnd(text, i);
      let after = end;
      while (text.charCodeAt(after) <= 32) after++;
      if (text[after] === ':') {
        const key = JSON.parse(text.slice(i, end)) as string;
        const keys = objects[objects.length - 1] as Set<string>;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end - 1;
    }
  }
  return null;
}

/** The index after the closing quote of the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i + 1;
}
