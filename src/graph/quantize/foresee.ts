import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';

/** What has no job is written as it is. */
export function foreseeOthers(
  { tensors }: Model,
  jobs: readonly { readonly tensor: TensorSource }[],
  { shared }: WorkContext,
): void {
  const own = new Set(jobs.map(({ tensor }) => tensor.info.name));
  shared?.foresee(tensors.filter(({ info }) => !own.has(info.name)));
}
