import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { floatsOf, inputOf, intsOf, textOf, withAttributes, withInputs, without } from '../attributes.js';
import { dropDefaults } from './attributes.js';

const upsampleUp9: Adapt = (node, { make }) => {
  const scales = floatsOf(node, 'scales') ?? [];
  return [
    withInputs(without(node, 'scales'), [node.input[0], make('f32', [scales.length], scales, 'scales')]),
  ];
};
const upsampleDown9: Adapt = async (node, { constant }) => {
  const scales = await constant(inputOf(node, 1));
  if (!scales) return blocked('its scales are computed: before, they were an attribute');
  return [withAttributes(withInputs(node, [node.input[0]]), { scales: scales.numbers })];
};
const upsampleUp10: Adapt = (node) => [{ ...node, opType: 'Resize' }];

/** The first Resize was Upsample, and could shrink too. */
const resizeDown10: Adapt = async (node, { constant }) => {
  const scales = await constant(inputOf(node, 1));
  if (!scales) return blocked('came with operator set 10, and its scales are not known');
  return scales.numbers.some((scale) => scale < 1)
    ? blocked('makes things smaller, which came with operator set 10')
    : [{ ...node, opType: 'Upsample' }];
};

/** What operator set 10 did, in the words of 11. */
const resizeUp11: Adapt = (node, { make }) => {
  const nearest = (textOf(node, 'mode') ?? 'nearest') === 'nearest';
  const worded = withAttributes(node, {
    coordinate_transformation_mode: 'asymmetric',
    ...(nearest ? { nearest_mode: 'floor' } : {}),
  });
  return [withInputs(worded, [node.input[0], make('f32', [0], [], 'roi'), node.input[1]])];
};
const resizeDown11: Adapt = async (node, { constant }) => {
  const mode = textOf(node, 'mode') ?? 'nearest';
  const coordinates = textOf(node, 'coordinate_transformation_mode') ?? 'half_pixel';
  const rounding = textOf(node, 'nearest_mode') ?? 'round_prefer_floor';
  const way = mode === 'nearest' ? `${coordinates}, ${rounding}` : coordinates;
  if (mode === 'cubic' || (way !== 'asymmetric' && way !== 'asymmetric, floor'))
    return blocked(`mode=${mode} (${way}) came with operator set 11`);
  const scales = inputOf(node, 2);
  if (scales === undefined || (await constant(scales))?.shape[0] === 0)
    return blocked('sizes in place of scales came with operator set 11');
  const words = ['coordinate_transformation_mode', 'cubic_coeff_a', 'exclude_outside'];
  const plain = without(node, ...words, 'extrapolation_value', 'nearest_mode');
  return [withInputs(plain, [node.input[0], scales])];
};

/** Inputs that may be absent from operator set 13 on were empty before. */
const resizeDown13: Adapt = (node, { make }) => {
  const empty = (index: number, hint: string): string => inputOf(node, index) ?? make('f32', [0], [], hint);
  return [withInputs(node, [node.input[0], empty(1, 'empty'), empty(2, 'empty'), node.input[3]])];
};

const resizeDown18: Adapt = (node, { shape, version }) => {
  const axes = intsOf(node, 'axes');
  const rank = shape(node.input[0])?.length;
  if (axes && axes.length > 0) {
    const inOrder = axes.every((axis, i) => Number(axis) === i || Number(axis) === i - (rank ?? Number.NaN));
    if (axes.length !== rank || !inOrder) return blocked('chosen axes came with operator set 18');
  }
  const policy = inputOf(node, 3) === undefined ? {} : { keep_aspect_ratio_policy: 'stretch' };
  const plain = dropDefaults(node, { antialias: '0', ...policy }, version);
  return 'blocked' in plain ? plain : [without(plain, 'axes', 'keep_aspect_ratio_policy')];
};

export const resizeAdapters: Adapters = {
  'Upsample@9': { up: upsampleUp9, down: upsampleDown9 },
  'Upsample@10': { up: upsampleUp10 },
  'Resize@10': { down: resizeDown10 },
  'Resize@11': { up: resizeUp11, down: resizeDown11 },
  'Resize@13': { down: resizeDown13 },
  'Resize@18': { down: resizeDown18 },
  'Resize@19': {
    down: (node) =>
      textOf(node, 'coordinate_transformation_mode') === 'half_pixel_symmetric'
        ? blocked('half_pixel_symmetric came with operator set 19')
        : [node],
  },
};
