import { type Adapt, type Adapters, blocked } from '../adapter.js';

/** Operator set 8 let these stretch their inputs to a common shape. */
const sameShapes: Adapt = (node, { shape, version }) => {
  const shapes = node.input.map((name) => shape(name));
  const known = shapes.every((dims) => dims?.every((dim) => dim !== undefined));
  const texts = new Set(shapes.map((dims) => JSON.stringify(dims)));
  if (node.input.length < 2 || (known && texts.size === 1)) return [node];
  return blocked(`may stretch inputs to a common shape, which came with operator set ${version}`);
};

/** Operator set 12 let the exponent be of another type than the base. */
const sameTypes: Adapt = (node, { type, assume, version }) => {
  const [base, exponent] = node.input.map((name) => type(name));
  if (base === undefined || exponent === undefined) {
    assume('base and exponent of Pow are taken to be of one type');
    return [node];
  }
  return base === exponent
    ? [node]
    : blocked(`raises ${base} to a power of ${exponent}, which came with operator set ${version}`);
};

export const broadcastAdapters: Adapters = {
  'Max@8': { down: sameShapes },
  'Min@8': { down: sameShapes },
  'Mean@8': { down: sameShapes },
  'Sum@8': { down: sameShapes },
  'Pow@12': { down: sameTypes },
};
