import type { ModelWriter } from '../../core/format.js';
import { finding } from '../../errors.js';
import { transfer } from '../../kernels/transfer.js';
import { checkModel } from './check.js';
import { ARRAY_NAME } from './npy-reader.js';
import { encodeHeader } from './write-header.js';

/** One array in npy 1.0, C order, little-endian. */
export const writer: ModelWriter = {
  check(model) {
    const findings = checkModel(model, 'npy');
    const [tensor] = model.tensors;
    const count = model.tensors.length;
    if (count !== 1 || !tensor)
      findings.push(
        finding(
          'error',
          'NPY_ONE_TENSOR',
          'tensors',
          `an npy file holds one array, there are ${count}: choose one with --include, or write an .npz`,
        ),
      );
    else if (tensor.info.name !== ARRAY_NAME)
      findings.push(
        finding(
          'error',
          'NPY_NO_NAME',
          tensor.info.name,
          `an npy file has no place for the name ${JSON.stringify(tensor.info.name)}: write an .npz, or rename it to ${JSON.stringify(ARRAY_NAME)} (--rename 's/.*/${ARRAY_NAME}/')`,
        ),
      );
    return findings;
  },

  async write(model, files, context) {
    const [tensor] = model.tensors;
    if (!tensor) throw new Error('an npy file needs one tensor');
    const header = encodeHeader(tensor.info);
    const sink = await files.create(files.main);
    await sink.writeAt(0, header);
    await transfer([{ tensor, sink, offset: header.byteLength }], context);
  },
};
