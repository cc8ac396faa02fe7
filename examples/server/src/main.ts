// The server: `npm start`. Settings are environment variables, see settings.ts.
import { startServer } from './server.js';
import { readSettings } from './settings.js';
import { untilTerminated } from './signals.js';

const settings = readSettings();
const server = await startServer(settings);
const where = server.engine ? `on ${server.engine.device.info.name}` : `by workers of the queue ${settings.queueName}`;
console.log(`listening at ${server.url}, synthesising ${where}`);
console.log(`try: curl --data-binary @speech.wav -H 'content-type: audio/wav' ${server.url}/synthesize -o out.wav`);
await untilTerminated();
console.log('stopping: what runs is finished');
await server.stop();
process.exit(0);
