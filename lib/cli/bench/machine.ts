import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { addon, type DeviceInfo } from '../../native.js';

/** What the numbers were measured on. */
export interface Machine {
  platform: string;
  release: string;
  arch: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
  node: string;
  compiler: string;
  devices: DeviceInfo[];
  /** Of the last minute, when the benchmark began: above 1 others were running too. */
  load: number;
}

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    platform: platform(),
    release: release(),
    arch: arch(),
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    compiler: addon.build.compiler,
    devices: addon
      .listDevices()
      .filter(({ available }) => available)
      .map(({ available, ...info }) => info),
    load: loadavg()[0] as number,
  };
}
