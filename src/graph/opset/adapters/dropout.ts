import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { floatOf, inputOf, outputOf, withAttributes, withInputs, without } from '../attributes.js';
import { fitsFloat, numberIn } from './scalars.js';

/** Until operator set 12 dropout did nothing but in training, which a graph did not speak of. */
const up: Adapt = (node, { make }) => {
  const ratio = floatOf(node, 'ratio');
  const plain = without(node, 'ratio');
  return [
    ratio === undefined ? plain : withInputs(plain, [node.input[0], make('f32', [], [ratio], 'ratio')]),
  ];
};

const down: Adapt = async (node, context) => {
  const training = inputOf(node, 2);
  if (training !== undefined && (await numberIn(context, training)) !== 0)
    return blocked('may drop values (training_mode), which came with operator set 12');
  const plain = without(withInputs(node, [node.input[0]]), 'seed');
  const ratio = await numberIn(context, inputOf(node, 1));
  // Without training the ratio changes nothing.
  return [ratio === undefined || !fitsFloat(ratio) ? plain : withAttributes(plain, { ratio })];
};

const maskType: Adapt = (node, { version }) =>
  outputOf(node, 1) === undefined
    ? [node]
    : blocked(`its mask has another type since operator set ${version}`);

export const dropoutAdapters: Adapters = {
  'Dropout@10': { up: maskType, down: maskType },
  'Dropout@12': { up, down },
};
