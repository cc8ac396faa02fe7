// Entry of the utility process: everything that computes runs here, so neither the window nor the main process ever waits.
import { Jobs } from './jobs.js';
import type { Reply, Request } from './messages.js';

/** Electron's port to the main process; the channel of child_process.fork under plain Node, as in the tests. */
const port = (process as { parentPort?: Electron.ParentPort }).parentPort;
const post = (reply: Reply): void => {
  if (port) port.postMessage(reply);
  else process.send?.(reply);
};

const jobs = new Jobs((progress) => post({ progress }));
const receive = async ({ id, kind, argument }: Request): Promise<void> => post({ id, outcome: await jobs.run(kind, argument) });

if (port) port.on('message', ({ data }) => void receive(data as Request));
else process.on('message', (message) => void receive(message as Request));
