import type { NodeProto } from '../../../formats/onnx/schema.js';
import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { valueText, withAttributes, without } from '../attributes.js';

/**
 * Attributes that a version added, with the value that means what the operator did before. `ones`: any number of 1.
 */
const ADDED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'ArgMax@12': { select_last_index: '0' },
  'ArgMin@12': { select_last_index: '0' },
  'Attention@25': { left_window_size: '-1', right_window_size: '-1' },
  'AveragePool@10': { ceil_mode: '0' },
  'AveragePool@19': { dilations: 'ones' },
  'Cast@24': { round_mode: 'up' },
  'CastLike@24': { round_mode: 'up' },
  'DepthToSpace@11': { mode: 'DCR' },
  'GRU@14': { layout: '0' },
  'GatherND@12': { batch_dims: '0' },
  'LSTM@14': { layout: '0' },
  'LpPool@18': { ceil_mode: '0', dilations: 'ones' },
  'MaxPool@10': { ceil_mode: '0', dilations: 'ones' },
  'RNN@14': { layout: '0' },
  'Range@27': { stash_type: '1' },
  'SpaceToDepth@28': { mode: 'DCR' },
};

const isDefault = (value: string, meant: string): boolean =>
  meant === 'ones' ? value.split(', ').every((one) => one === '1') : value === meant;

/** Takes attributes away that say what goes without saying; others are in the way. */
export function dropDefaults(
  node: NodeProto,
  defaults: Readonly<Record<string, string>>,
  version: number,
): NodeProto | { readonly blocked: string } {
  for (const [name, meant] of Object.entries(defaults)) {
    const value = valueText(node, name);
    if (value !== undefined && !isDefault(value, meant))
      return blocked(`${name}=${value} came with operator set ${version}`);
  }
  return without(node, ...Object.keys(defaults));
}

const added =
  (defaults: Readonly<Record<string, string>>): Adapt =>
  (node, { version }) => {
    const plain = dropDefaults(node, defaults, version);
    return 'blocked' in plain ? plain : [plain];
  };

/** Attributes that only matter for 8-bit floats, which the older versions do not take. */
const forget =
  (...names: readonly string[]): Adapt =>
  (node) => [without(node, ...names)];

export const attributeAdapters: Adapters = {
  ...Object.fromEntries(Object.entries(ADDED).map(([key, defaults]) => [key, { down: added(defaults) }])),
  'Cast@19': { down: forget('saturate') },
  'CastLike@19': { down: forget('saturate') },
  'Attention@24': {
    down: (node) =>
      node.input[6] ? blocked('its input nonpad_kv_seqlen came with operator set 24') : [node],
  },
  'MaxPool@8': {
    down(node, { version }) {
      if (node.output[1]) return blocked('its output Indices came with operator set 8');
      const plain = dropDefaults(node, { storage_order: '0' }, version);
      return 'blocked' in plain ? plain : [plain];
    },
  },
  'Mod@28': {
    down: (node, { type }) =>
      valueText(node, 'fmod') !== '1' && ['f16', 'bf16', 'f32', 'f64'].includes(type(node.input[0]) ?? '')
        ? blocked('rounds the quotient of floats down, which came with operator set 28')
        : [node],
  },
  // The version without an attribute for the mode had what the attribute now calls by another name.
  'RoiAlign@16': {
    up: (node) => [withAttributes(node, { coordinate_transformation_mode: 'output_half_pixel' })],
    down: (node) =>
      valueText(node, 'coordinate_transformation_mode') === 'output_half_pixel'
        ? [without(node, 'coordinate_transformation_mode')]
        : blocked('coordinate_transformation_mode=half_pixel came with operator set 16'),
  },
};
