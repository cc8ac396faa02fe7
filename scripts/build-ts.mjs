// Compiles lib/ to dist/ (CommonJS and types) and wraps it for ES modules, so both kinds of import share one instance.
import { chmodSync, copyFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { writePackedSources } from './node-headers.mjs';
import { root, run, tool } from './run.mjs';

export function buildTypeScript() {
  const dist = path.join(root, 'dist');
  // Built aside and swapped, so that a program that runs meanwhile finds all of the old or all of the new.
  const fresh = path.join(root, `dist-${process.pid}`);
  run(process.execPath, [tool('typescript/bin/tsc'), '-p', 'tsconfig.json', '--outDir', fresh]);
  const names = exportedNames(path.join(fresh, 'index.js'));
  writeFileSync(
    path.join(fresh, 'index.mjs'),
    `import weightnorm from './index.js';\n\nexport const { ${names.join(', ')} } = weightnorm;\nexport default weightnorm;\n`,
  );
  writeFileSync(path.join(fresh, 'index.d.mts'), `import weightnorm = require('./index.js');\n\nexport * from './index.js';\nexport default weightnorm;\n`);
  copyFileSync(path.join(root, 'docs', 'verification.json'), path.join(fresh, 'cli', 'verification.json'));
  writePackedSources(root, path.join(fresh, 'sources'));
  chmodSync(path.join(fresh, 'cli', 'main.js'), 0o755);
  rmSync(dist, { recursive: true, force: true });
  renameSync(fresh, dist);
}

// From the compiled text, because loading it needs the add-on.
function exportedNames(file) {
  const ts = createRequire(import.meta.url)('typescript');
  const source = ts.createSourceFile(file, ts.sys.readFile(file), ts.ScriptTarget.ES2022);
  const names = new Set();
  const visit = (node) => {
    if (ts.isCallExpression(node) && node.expression.getText(source) === 'Object.defineProperty' && node.arguments[0].getText(source) === 'exports')
      names.add(node.arguments[1].text);
    if (ts.isBinaryExpression(node) && ts.isPropertyAccessExpression(node.left) && node.left.expression.getText(source) === 'exports')
      names.add(node.left.name.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  names.delete('__esModule');
  return [...names].sort();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) buildTypeScript();
