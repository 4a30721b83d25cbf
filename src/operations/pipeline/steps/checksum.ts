import { finding } from '../../../errors.js';
import { hashModel } from '../../hashes.js';
import { text } from '../fields.js';
import { lookingStep } from '../step-kind.js';

const FIELDS = {
  content: text('content id that the tensors must have by now'),
};

export const checksum = lookingStep({
  kind: 'looks',
  gated: false,
  id: 'checksum',
  title: 'the content id of what there is so far, checked if one is given',
  fields: FIELDS,
  async look({ model }, _from, _gate, { content }, context) {
    const found = (await hashModel(model, context)).content;
    const passed = content === undefined || content === found;
    const message = `the content id is ${found}, not ${content}`;
    return {
      passed,
      findings: passed ? [] : [finding('error', 'CONTENT_DIFFERS', 'content', message)],
      figures: { content: found },
    };
  },
});
