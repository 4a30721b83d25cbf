import { intsOf, numberOf } from '../../opset/attributes.js';
import { fromFront, inputAt, linked, outputAt, type Rule, stop } from '../rule.js';

const OVER_CHANNELS = 'it takes the mean and the variance over the channels that would change';

/** Scale, shift, mean and variance of every channel are its own. */
export const batchNorm: Rule = ({ node, side, index, axis }) => {
  if (node.output.slice(1).some((name) => name !== '')) return stop('it is being trained');
  if (axis !== (side === 'input' && index > 0 ? 0 : 1))
    return stop('an axis of space or of samples would change');
  return linked(
    { value: inputAt(node, 0) ?? '', axis: 1 },
    ...node.input.slice(1).map((value) => ({ value, axis: 0 })),
    { value: outputAt(node), axis: 1 },
  );
};

/** Whole groups go. Scale and bias belong to groups before version 21, to channels since. */
export const groupNorm: Rule = ({ node, side, index, axis }, around) => {
  const shape = around.shape(inputAt(node, 0));
  const groups = numberOf(node, 'num_groups') ?? 1;
  if (!shape || axis !== (side === 'input' && index > 0 ? 0 : 1))
    return stop('an axis of space or of samples would change');
  const size = (shape[1] ?? 0) / groups;
  const units = Array.from({ length: shape[1] ?? 0 }, (_, i) => Math.floor(i / size));
  return linked(
    { value: inputAt(node, 0) ?? '', axis: 1, units },
    ...node.input.slice(1).map((value) => ({
      ...{ value, axis: 0 },
      ...(around.shape(value)?.[0] === groups ? {} : { units }),
    })),
    { value: outputAt(node), axis: 1, units },
  );
};

/** LayerNormalization, RMSNormalization: over the last axes. */
export const layerNorm: Rule = ({ node, side, index, axis }, around) => {
  const shape = around.shape(inputAt(node, 0));
  if (!shape) return stop('its shape is not known');
  if (node.output.slice(1).some((name) => name !== '')) return stop('its statistics are used');
  const first = fromFront(numberOf(node, 'axis') ?? -1, shape.length);
  const scales = node.input.slice(1).filter((name) => name !== '');
  const place =
    side === 'input' && index > 0
      ? axis + shape.length - (around.shape(node.input[index])?.length ?? 0)
      : axis;
  const through = { value: inputAt(node, 0) ?? '', axis: place };
  if (place < first) return linked(through, { value: outputAt(node), axis: place });
  const ends = scales.map((value) => ({
    ...{ value, axis: place - shape.length + (around.shape(value)?.length ?? 0) },
  }));
  if (ends.some((end) => end.axis < 0)) return stop(OVER_CHANNELS);
  return { links: [[through, ...ends, { value: outputAt(node), axis: place }]], inexact: OVER_CHANNELS };
};

/** Softmax and its like: positions along one axis depend on each other. */
export const alongAxis =
  (otherwise: number): Rule =>
  ({ node, axis }, around) => {
    const [value = ''] = node.input;
    const rank = around.shape(value)?.length ?? 0;
    const along = fromFront(numberOf(node, 'axis') ?? (around.opset < 13 ? 1 : otherwise), rank);
    // Before version 13 all axes from that one on were taken together.
    if (around.opset < 13 ? axis >= along : axis === along)
      return stop('what it gives for one channel depends on all of them');
    return linked({ value, axis }, { value: outputAt(node), axis });
  };

/** Statistics over the axes named, of which channels must not be one. */
export const meanVariance: Rule = ({ node, axis }) => {
  const axes = intsOf(node, 'axes')?.map(Number) ?? [0, 2, 3];
  if (axes.includes(axis)) return stop(OVER_CHANNELS);
  return linked({ value: inputAt(node, 0) ?? '', axis }, { value: outputAt(node), axis });
};
