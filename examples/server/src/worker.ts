// A worker: `npm run worker`, with REDIS_URL. As many as there are machines; each synthesises CONCURRENCY utterances at once.
import { Engine } from './engine.js';
import { readSettings } from './settings.js';
import { untilTerminated } from './signals.js';
import { startWorker } from './worker-process.js';

const settings = readSettings();
if (settings.redisUrl === null) throw new Error('REDIS_URL is not set; a worker takes its jobs from Redis');
const engine = await Engine.load(settings);
const worker = startWorker(engine, settings, settings.redisUrl);
await worker.ready();
console.log(`worker ready on ${engine.device.info.name}`);
await untilTerminated();
await worker.close();
engine.dispose();
process.exit(0);
