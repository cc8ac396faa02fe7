// Compiles lib/ to dist/ (CommonJS and types) and wraps it for ES modules, so both kinds of import share one instance.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, run, tool } from './run.mjs';

export function buildTypeScript() {
  const dist = path.join(root, 'dist');
  rmSync(dist, { recursive: true, force: true });
  run(process.execPath, [tool('typescript/bin/tsc'), '-p', 'tsconfig.json']);
  const names = exportedNames(path.join(dist, 'index.js'));
  writeFileSync(
    path.join(dist, 'index.mjs'),
    `import weightnorm from './index.js';\n\nexport const { ${names.join(', ')} } = weightnorm;\nexport default weightnorm;\n`,
  );
  writeFileSync(path.join(dist, 'index.d.mts'), `import weightnorm = require('./index.js');\n\nexport * from './index.js';\nexport default weightnorm;\n`);
  chmodSync(path.join(dist, 'cli', 'main.js'), 0o755);
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
