import type { Model } from '../core/model.js';
import { MlserError } from '../errors.js';
import { protoOf } from '../formats/onnx/summary.js';
import type { Cut } from './extract.js';

/**
 * `inputs:outputs`, each a list with commas; nothing before the colon stands for the graph's own inputs, nothing after
 * it for its own outputs. Names may hold both signs (`x:0`): of several readings the one counts whose names are all
 * values of the main graph. E_USAGE for a text without a colon.
 */
export function parseCut(text: string, model: Model): Cut {
  const colons = [...text].flatMap((sign, i) => (sign === ':' ? [i] : []));
  if (colons.length === 0)
    throw new MlserError('E_USAGE', `${JSON.stringify(text)} is not inputs:outputs`, {
      details: { value: text },
      hint: 'name values with commas between them and a colon in the middle: in1,in2:out1, or :out1',
    });
  const values = valuesOf(model);
  const readings = colons.map((at) => ({
    inputs: namesIn(text.slice(0, at), values),
    outputs: namesIn(text.slice(at + 1), values),
  }));
  const known = ({ inputs, outputs }: (typeof readings)[number]): number =>
    [...inputs, ...outputs].filter((name) => !values.has(name)).length;
  const [best] = [...readings].sort((a, b) => known(a) - known(b));
  const { inputs = [], outputs = [] } = best ?? {};
  return {
    ...(inputs.length > 0 ? { inputs } : {}),
    outputs: outputs.length > 0 ? outputs : (model.graph?.outputs.map(({ name }) => name) ?? []),
  };
}

/** A list with commas; pieces that only together are a name of the graph stay together. */
function namesIn(text: string, values: ReadonlySet<string>): readonly string[] {
  const names: string[] = [];
  const pieces = text.split(',');
  for (let from = 0; from < pieces.length; ) {
    let to = from + 1;
    for (let end = pieces.length; end > to; end--)
      if (values.has(pieces.slice(from, end).join(','))) to = end;
    const name = pieces.slice(from, to).join(',').trim();
    if (name !== '') names.push(name);
    from = to;
  }
  return names;
}

function valuesOf({ graph }: Model): ReadonlySet<string> {
  const main = graph && protoOf(graph).graph;
  return new Set([
    ...(main?.input ?? []).map(({ name = '' }) => name),
    ...(main?.initializer ?? []).map(({ name = '' }) => name),
    ...(main?.node ?? []).flatMap(({ output }) => output),
  ]);
}
