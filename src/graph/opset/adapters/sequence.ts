import { type Adapters, blocked } from '../adapter.js';

export const sequenceAdapters: Adapters = {
  // The first version took a batch and the lengths of its sequences.
  'Scan@9': {
    up: () => blocked('scans a batch of sequences, which ended with operator set 9'),
    down: () => blocked('its form came with operator set 9'),
  },
  'OptionalHasElement@18': {
    down: (node) =>
      node.input[0] ? [node] : blocked('its input may be absent only from operator set 18 on'),
  },
};
