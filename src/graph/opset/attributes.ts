import type { AttributeProto, NodeProto } from '../../formats/onnx/schema.js';
import { type AttributeValue, attributeProto } from '../build.js';

const find = (node: NodeProto, name: string): AttributeProto | undefined =>
  node.attribute.find((attribute) => attribute.name === name);

export const hasAttribute = (node: NodeProto, name: string): boolean => find(node, name) !== undefined;

/** The value of an INT attribute; undefined if it is absent. */
export const intOf = (node: NodeProto, name: string): bigint | undefined => find(node, name)?.i;
export const numberOf = (node: NodeProto, name: string): number | undefined => {
  const value = intOf(node, name);
  return value === undefined ? undefined : Number(value);
};
export const floatOf = (node: NodeProto, name: string): number | undefined => find(node, name)?.f;
export const intsOf = (node: NodeProto, name: string): readonly bigint[] | undefined =>
  find(node, name)?.ints;
export const floatsOf = (node: NodeProto, name: string): readonly number[] | undefined =>
  find(node, name)?.floats;
export const textOf = (node: NodeProto, name: string): string | undefined => {
  const bytes = find(node, name)?.s;
  return bytes && Buffer.from(bytes).toString('utf8');
};

/** The value of an attribute as text, for comparisons and messages. */
export function valueText(node: NodeProto, name: string): string | undefined {
  const attribute = find(node, name);
  if (!attribute) return undefined;
  const { i, f, s, ints, floats, strings } = attribute;
  if (i !== undefined) return String(i);
  if (f !== undefined) return String(f);
  if (s !== undefined) return Buffer.from(s).toString('utf8');
  if (strings.length > 0) return strings.map((text) => Buffer.from(text).toString('utf8')).join(', ');
  return [...ints, ...floats].join(', ');
}

/** The node without some attributes; the same node if it has none of them. */
export function without(node: NodeProto, ...names: readonly string[]): NodeProto {
  const attribute = node.attribute.filter(({ name }) => !names.includes(name ?? ''));
  return attribute.length === node.attribute.length ? node : { ...node, attribute };
}

/** The node with attributes set, in place of those of the same name. */
export const withAttributes = (
  node: NodeProto,
  values: Readonly<Record<string, AttributeValue>>,
): NodeProto => ({
  ...node,
  attribute: [
    ...without(node, ...Object.keys(values)).attribute,
    ...Object.entries(values).map(([name, value]) => attributeProto(name, value)),
  ],
});

/** The node with other inputs; absent ones ('') at the end are left out. */
export function withInputs(node: NodeProto, inputs: readonly (string | undefined)[]): NodeProto {
  const names = inputs.map((name) => name ?? '');
  while (names.at(-1) === '') names.pop();
  return { ...node, input: names };
}

/** The name of an input; undefined if it is absent or left out. */
export const inputOf = (node: NodeProto, index: number): string | undefined => node.input[index] || undefined;
/** The name of an output that something may use. */
export const outputOf = (node: NodeProto, index: number): string | undefined =>
  node.output[index] || undefined;
