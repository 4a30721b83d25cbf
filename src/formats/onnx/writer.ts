import type { ModelWriter } from '../../core/format.js';

export const writer: ModelWriter = {
  check: () => [],
  async write() {},
};
