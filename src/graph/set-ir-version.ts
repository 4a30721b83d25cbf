import type { Model } from '../core/model.js';
import { type Finding, finding, MlserError } from '../errors.js';
import { NEWEST_IR } from '../formats/onnx/check-model.js';
import type { ModelProto } from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';
import { irVersionFor } from './opset/ir-version.js';
import { sourcesOf, withProto } from './opset.js';

/** The oldest that has versions of operators. */
export const OLDEST_IR = 3;

/** IR versions that brought element types (onnx.proto, enum Version). */
const TYPES = new Map<number, readonly [ir: number, name: string]>([
  [16, [4, 'bfloat16']],
  ...[17, 18, 19, 20].map((id) => [id, [9, 'float8']] as const),
  ...[21, 22].map((id) => [id, [10, 'int4']] as const),
  [23, [11, 'float4']],
  [24, [12, 'float8e8m0']],
  ...[25, 26].map((id) => [id, [13, 'int2']] as const),
  ...[27, 28].map((id) => [id, [14, 'float6']] as const),
]);

/** IR versions that brought fields of messages (onnx.proto, enum Version), by the name of the field. */
const FIELDS = new Map<string, readonly [ir: number, name: string]>([
  ['quantizationAnnotation', [5, 'quantization annotations']],
  ['sparseInitializer', [6, 'sparse initializers']],
  ['sparseTensor', [6, 'sparse constants']],
  ['trainingInfo', [7, 'training graphs']],
  ['functions', [8, 'functions']],
  ['optionalType', [8, 'optional types']],
  ['sparseTensorType', [8, 'sparse types']],
  ['attributeProto', [9, 'default attributes of functions']],
  ['overload', [10, 'overloads of functions']],
  ['metadataProps', [10, 'metadata of nodes, values or tensors']],
  ['deviceConfigurations', [11, 'device configurations']],
  ['configuration', [11, 'device configurations']],
]);

/**
 * The model in another IR version. E_USAGE for versions outside 3..14, E_UNSUPPORTED naming what needs a later one.
 * Finding: IR_CONVERTED.
 */
export function setIrVersion(model: Model, wanted: number): { model: Model; findings: Finding[] } {
  const proto = model.graph && protoOf(model.graph);
  if (!proto?.graph) throw new Error('only graphs have an IR version');
  if (wanted < OLDEST_IR || wanted > Number(NEWEST_IR))
    throw new MlserError('E_USAGE', `--ir-version ${wanted}: known are ${OLDEST_IR} to ${NEWEST_IR}`, {
      details: { irVersion: wanted },
    });
  const own = Number(proto.irVersion);
  if (own === wanted) return { model, findings: [] };
  if (wanted < own) refuse(wanted, neededBy(proto));
  const next = withProto(model, { ...proto, irVersion: BigInt(wanted) }, sourcesOf(model, proto));
  return {
    model: next,
    findings: [finding('info', 'IR_CONVERTED', 'graph', `IR version ${own} → ${wanted}`)],
  };
}

function refuse(wanted: number, needs: ReadonlyMap<string, number>): void {
  const later = [...needs].filter(([, ir]) => ir > wanted);
  if (later.length === 0) return;
  const named = later.map(([what, ir]) => `${what} (IR version ${ir})`);
  const least = Math.max(...later.map(([, ir]) => ir));
  throw new MlserError('E_UNSUPPORTED', `IR version ${wanted} has no ${named.join(', no ')}`, {
    details: { wanted, needed: least, reasons: named },
    hint: `--ir-version ${least} is as low as this model goes; an older --opset may go lower`,
  });
}

/** What a model has that not all IR versions have, with the first one that has it. */
function neededBy(proto: ModelProto): ReadonlyMap<string, number> {
  const needs = new Map<string, number>();
  const need = ([ir, name]: readonly [number, string]): void => {
    needs.set(name, Math.max(ir, needs.get(name) ?? 0));
  };
  const standard = proto.opsetImport.find(({ domain }) => !domain || domain === 'ai.onnx')?.version;
  if (standard !== undefined) {
    const first = irVersionFor({ ...proto, irVersion: 3n }, Number(standard), false);
    need([Number(first), `operator set ${standard}`]);
  }
  const inputs = new Set(proto.graph?.input.map(({ name }) => name));
  if (proto.graph?.initializer.some(({ name }) => !inputs.has(name)))
    need([4, 'initializers that are no inputs']);
  const visit = (message: object): void => {
    for (const [field, value] of Object.entries(message)) {
      if (value === undefined || value === '' || field === 'data' || field === 'unknown') continue;
      if (field === 'dataType' || field === 'elemType') needType(value);
      const isSet = !Array.isArray(value) || value.length > 0;
      const known = FIELDS.get(field);
      // A model had metadata from the beginning.
      if (known && isSet && !(message === proto && field === 'metadataProps')) need(known);
      if (Array.isArray(value)) {
        for (const one of value) if (typeof one === 'object' && !ArrayBuffer.isView(one)) visit(one);
      } else if (typeof value === 'object' && !ArrayBuffer.isView(value)) visit(value);
    }
  };
  const needType = (id: unknown): void => {
    const known = typeof id === 'number' ? TYPES.get(id) : undefined;
    if (known) need(known);
  };
  visit(proto);
  return needs;
}
