// The reviewed list of test/apple/review.md beside what the backend really uses.

/** Rows of the table of uses: use → `{ since, source }`. */
export function readReview(markdown) {
  const rows = new Map();
  for (const [, use, since, source] of markdown.matchAll(/^\| `([^`|]+)` \| (\d+\.\d+(?:\.\d+)?) \| ([^|]+) \|$/gm)) {
    if (rows.has(use)) throw new Error(`the reviewed list has ${use} twice`);
    rows.set(use, { since, source: source.trim() });
  }
  return rows;
}

/** What differs: uses that nobody reviewed, rows that nothing uses. */
export function compare(uses, rows) {
  const unreviewed = [...uses].filter((use) => !rows.has(use)).map((use) => `not in the reviewed list: ${use}`);
  const unused = [...rows.keys()].filter((use) => !uses.has(use)).map((use) => `in the reviewed list, but nothing uses it: ${use}`);
  return [...unreviewed, ...unused].sort();
}

/** Names in the last column of the table of rules that no test in `sources` has; rows without a test. */
export function missingTests(markdown, sources) {
  const tests = new Set(sources.flatMap((source) => [...source.matchAll(/^(?:FATAL_)?TEST\((\w+)/gm)].map((match) => match[1])));
  const rows = [...markdown.split('\n## Rules\n')[1].matchAll(/^\| (.+) \| .+ \| ([^|]+) \|$/gm)].filter(([, rule]) => rule !== 'rule');
  if (rows.length === 0) throw new Error('the table of rules is empty');
  return rows.flatMap(([, rule, names]) =>
    names
      .split(', ')
      .filter((name) => !tests.has(name))
      .map((name) => `no test '${name}' for the rule: ${rule}`),
  );
}
