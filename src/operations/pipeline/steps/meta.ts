import { metadata } from '../../../transforms/metadata.js';
import { writeModel } from '../../write.js';
import { list, text, texts } from '../fields.js';
import { writingStep } from '../step-kind.js';

const FIELDS = {
  set: texts('metadata to set'),
  unset: list(text('keys to remove')),
};

export const meta = writingStep({
  kind: 'writes',
  id: 'meta',
  title: 'sets and removes metadata',
  fields: FIELDS,
  run: (opened, output, options, { set, unset = [] }, context) =>
    writeModel(
      {
        command: 'meta',
        opened: [opened],
        reference: opened.model,
        intended: metadata({ ...(set ? { set } : {}), unset: new Set(unset) }).apply(opened.model),
        output,
        options,
        writeOptions: {},
      },
      context,
    ),
  composes: () => true,
  takesPlans: () => true,
});
