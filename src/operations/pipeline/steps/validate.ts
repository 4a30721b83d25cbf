import { validateModel } from '../../../validate/gate.js';
import { file } from '../fields.js';
import { lookingStep } from '../step-kind.js';

const FIELDS = {
  expected: file('npz with the outputs that must come out'),
};

export const validate = lookingStep({
  kind: 'looks',
  gated: true,
  id: 'validate',
  title: 'runs what there is so far next to the input of the pipeline',
  fields: FIELDS,
  async look({ model, files }, { original, changes }, { validate: level, ...gate }, { expected }, context) {
    const graphs = model.graph !== undefined && original.model.graph !== undefined;
    const { report, findings } = await validateModel({
      ...gate,
      ...changes,
      model,
      files,
      level,
      ...(graphs ? { reference: { model: original.model, files: original.files } } : {}),
      ...(expected === undefined ? {} : { expected }),
      context,
    });
    return { passed: report.passed, findings, validation: report };
  },
});
