import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { textOf, without } from '../attributes.js';

const down16: Adapt = (node) => {
  const reduction = textOf(node, 'reduction') ?? 'none';
  return reduction === 'none'
    ? [without(node, 'reduction')]
    : blocked(`reduction=${reduction} came with operator set 16`);
};
const down18: Adapt = (node) => {
  const reduction = textOf(node, 'reduction') ?? 'none';
  return reduction === 'min' || reduction === 'max'
    ? blocked(`reduction=${reduction} came with operator set 18`)
    : [node];
};

export const scatterAdapters: Adapters = {
  'ScatterElements@16': { down: down16 },
  'ScatterElements@18': { down: down18 },
  'ScatterND@16': { down: down16 },
  'ScatterND@18': { down: down18 },
  'Scatter@11': { up: (node) => [{ ...node, opType: 'ScatterElements' }] },
};
