/** Reports with every optional field, so that nothing that a renderer shows is left out of its tests. */

export * from './samples/bench.js';
export { validation } from './samples/common.js';
export * from './samples/deltas.js';
export * from './samples/graphs.js';
export * from './samples/pipeline.js';
export * from './samples/pruning.js';
export * from './samples/quantizing.js';
export * from './samples/reading.js';
export * from './samples/texts.js';
export * from './samples/writing.js';
