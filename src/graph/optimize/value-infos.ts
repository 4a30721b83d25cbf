import { isDType } from '../../core/dtype.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import { create, type ValueInfoProto } from '../../formats/onnx/schema.js';
import type { Fact } from './facts.js';

/** Types and shapes of values as a graph declares them: those that it had, and all others that are known. */
export function describedValues(
  made: ReadonlySet<string>,
  before: readonly ValueInfoProto[],
  factOf: (name: string) => Fact,
): readonly ValueInfoProto[] {
  const old = new Map(before.map((value) => [value.name ?? '', value]));
  return [...made].flatMap((name) => {
    const own = old.get(name);
    const value = name === '' ? undefined : described(name, factOf(name), own);
    return value ? [value] : own ? [own] : [];
  });
}

/** A tensor whose type is known; undefined for all others. */
function described(name: string, { dtype, shape }: Fact, own?: ValueInfoProto): ValueInfoProto | undefined {
  const type = dtype !== undefined && isDType(dtype) ? onnxTypeOf(dtype) : undefined;
  if (!type) return undefined;
  const dims = shape?.map((dim) =>
    create(
      'TensorShapeProtoDimension',
      dim === undefined ? {} : typeof dim === 'string' ? { dimParam: dim } : { dimValue: BigInt(dim) },
    ),
  );
  return {
    ...(own ?? create('ValueInfoProto', { name })),
    type: create('TypeProto', {
      tensorType: create('TypeProtoTensor', {
        elemType: type.id,
        ...(dims ? { shape: create('TensorShapeProto', { dim: dims }) } : {}),
      }),
    }),
  };
}
