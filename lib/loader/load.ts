import { createRequire } from 'node:module';
import path from 'node:path';
import { WeightNormError } from '../errors.js';
import { explain } from './explain.js';
import { findAddon, packageRoot } from './find.js';
import { thisSystem } from './system.js';

/** The oldest Node that has what the library uses, Symbol.dispose among it. */
const oldestNode = 20;

const cannot = 'the native add-on of weightnorm cannot be loaded';

/** Loads the add-on of this platform, or the one that WEIGHTNORM_ADDON names. */
export function loadAddon(): unknown {
  const system = thisSystem();
  if (Number.parseInt(system.node, 10) < oldestNode)
    throw new WeightNormError('ERR_ADDON', `${cannot}: it needs Node ${oldestNode} or later, and this is Node ${system.node}`);
  const chosen = process.env.WEIGHTNORM_ADDON || undefined;
  let file: string | undefined;
  try {
    if (chosen === 'softmetal') file = path.join(packageRoot, 'build', 'softmetal', 'weightnorm.node');
    else file = chosen ? path.resolve(chosen) : findAddon(packageRoot, system);
    return createRequire(path.join(packageRoot, 'package.json'))(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const why = explain({ system, root: packageRoot, file, chosen, reason });
    throw new WeightNormError('ERR_ADDON', `${cannot}: ${why}. ${reason}`, { cause: error });
  }
}
