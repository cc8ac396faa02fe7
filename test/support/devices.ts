import { Device } from 'weightnorm';

/** Every device that can be used here, for `describe.each(devices)`: [label, device]. */
export const devices: [string, Device][] = Device.list().map((info) => [info.simulated ? `${info.type} (simulated)` : info.type, Device.get(info.type)]);
