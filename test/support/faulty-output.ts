import { MlserError } from '../../src/errors.js';
import type { OutputFiles } from '../../src/io/files.js';
import type { ByteSink } from '../../src/io/sink.js';

/** What a disk that gives up says. */
export const gaveUp = new MlserError('E_IO', 'the disk gave up', { details: { errno: 'EIO' } });

/**
 * Output whose operation number `failAt` (creations, writes, the commit; from 0) fails. Sinks have no path, so that
 * every byte comes by here. `operations()` counts those that were tried.
 */
export function faultyOutput(inner: OutputFiles, failAt: number): OutputFiles & { operations(): number } {
  let count = 0;
  const step = (): void => {
    if (count++ === failAt) throw gaveUp;
  };
  const sinkOf = (sink: ByteSink): ByteSink => ({
    name: sink.name,
    get size() {
      return sink.size;
    },
    async writeAt(offset, bytes) {
      step();
      await sink.writeAt(offset, bytes);
    },
    async append(bytes) {
      step();
      await sink.append(bytes);
    },
    extendTo: (size) => sink.extendTo(size),
  });
  return {
    get main() {
      return inner.main;
    },
    setMain: (name) => inner.setMain(name),
    taken: (name) => inner.taken(name),
    async create(name) {
      step();
      return sinkOf(await inner.create(name));
    },
    stage: () => inner.stage(),
    async commit() {
      step();
      await inner.commit();
    },
    abort: () => inner.abort(),
    operations: () => count,
  };
}
