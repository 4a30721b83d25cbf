import { domainOf } from '../../formats/onnx/check-node.js';
import type { FunctionProto, OperatorSetIdProto } from '../../formats/onnx/schema.js';
import { MadeConstants } from './constants-made.js';
import { type Conversion, convertNodes } from './convert-nodes.js';
import { Scope } from './scope.js';

/** The body of a function in another version of the standard operators; what cannot be had is in `remarks.problems`. */
export async function convertFunction(
  body: FunctionProto,
  shared: Omit<Conversion, 'made'>,
): Promise<FunctionProto> {
  const own = body.opsetImport.find(({ domain }) => domainOf(domain) === '')?.version;
  const from = own === undefined ? shared.from : Number(own);
  const scope = shared.scopes.get(body) ?? new Scope();
  const constants = new MadeConstants(shared.names, scope);
  const node = await convertNodes(body.node, scope, { ...shared, from, made: constants });
  return {
    ...body,
    node: constants.count > 0 ? [...(await constants.nodes()), ...node] : node,
    opsetImport: imports(body.opsetImport, shared.to),
  };
}

/** The operator sets of a model or a function, with another version of the standard one. */
export const imports = (
  list: readonly OperatorSetIdProto[],
  version: number,
): readonly OperatorSetIdProto[] =>
  list.map((one) => (domainOf(one.domain) === '' ? { ...one, version: BigInt(version) } : one));
