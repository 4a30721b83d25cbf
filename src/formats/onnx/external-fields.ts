import { create, type TensorProto } from './schema.js';

const entry = (key: string, value: string) => create('StringStringEntryProto', { key, value });

/**
 * The fields of a TensorProto whose data is a range of another file (ONNX, docs/ExternalData.md).
 * Only these keys: onnxruntime refuses any other, `basepath` too.
 */
export const externalFields = (place: {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}): Pick<TensorProto, 'dataLocation' | 'externalData'> => ({
  dataLocation: 1,
  externalData: [
    entry('location', place.location),
    entry('offset', String(place.offset)),
    entry('length', String(place.length)),
  ],
});
