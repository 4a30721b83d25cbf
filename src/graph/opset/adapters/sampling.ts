import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { textOf, withAttributes } from '../attributes.js';

/** Names of modes before operator set 20, which dropped the "bi" together with the limit to two dimensions. */
const NAMES = new Map([
  ['bilinear', 'linear'],
  ['bicubic', 'cubic'],
]);
const OLD_NAMES = new Map([...NAMES].map(([old, name]) => [name, old]));

const up: Adapt = (node) => {
  const mode = textOf(node, 'mode');
  return mode === undefined ? [node] : [withAttributes(node, { mode: NAMES.get(mode) ?? mode })];
};

const down: Adapt = (node, { shape, assume }) => {
  const dims = shape(node.input[0]);
  if (dims && dims.length !== 4) return blocked('samples other than images, which came with operator set 20');
  if (!dims) assume('GridSample is taken to sample images');
  const mode = textOf(node, 'mode');
  return mode === undefined ? [node] : [withAttributes(node, { mode: OLD_NAMES.get(mode) ?? mode })];
};

export const samplingAdapters: Adapters = { 'GridSample@20': { up, down } };
