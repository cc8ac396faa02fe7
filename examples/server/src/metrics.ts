import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Device } from 'weightnorm';
import type { Backend } from './backend.js';

/** What Prometheus is told at /metrics. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = new Counter({
    name: 'weightnorm_requests_total',
    help: 'Requests for synthesis, by the status of their answer',
    labelNames: ['status'] as const,
    registers: [this.registry],
  });
  readonly firstAudio = new Histogram({
    name: 'weightnorm_first_audio_seconds',
    help: 'From the last byte of a request to the first sample of its answer',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [this.registry],
  });
  readonly duration = new Histogram({
    name: 'weightnorm_request_seconds',
    help: 'From the last byte of a request to the last sample of its answer',
    buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [this.registry],
  });
  readonly audioSeconds = new Counter({ name: 'weightnorm_audio_seconds_total', help: 'Seconds of sound that were sent', registers: [this.registry] });

  constructor(backend: Backend, device: Device | null) {
    collectDefaultMetrics({ register: this.registry });
    const waiting = new Gauge({ name: 'weightnorm_queue_waiting', help: 'Requests that wait to be synthesised', registers: [this.registry] });
    new Gauge({
      name: 'weightnorm_queue_active',
      help: 'Requests that are being synthesised',
      registers: [this.registry],
      async collect() {
        const load = await backend.load().catch(() => null);
        if (!load) return;
        waiting.set(load.waiting);
        this.set(load.active);
      },
    });
    if (device)
      new Gauge({
        name: 'weightnorm_device_live_bytes',
        help: 'Memory of tensors on the device',
        registers: [this.registry],
        collect() {
          this.set(device.memory().liveBytes);
        },
      });
  }
}
