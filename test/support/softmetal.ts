import path from 'node:path';

const addon = process.env.WEIGHTNORM_ADDON ?? 'softmetal';

/** The add-on that sets faults and reads counters of the software Metal: beside the build that WEIGHTNORM_ADDON names. */
export const controlFile =
  addon === 'softmetal'
    ? path.resolve(__dirname, '..', '..', 'build', 'softmetal', 'softmetal_control.node')
    : path.resolve(addon, '..', 'softmetal_control.node');
