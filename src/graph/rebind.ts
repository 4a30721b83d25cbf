import { isFloat } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding, MlserError } from '../errors.js';

const shapeText = (tensor: TensorSource): string => `${tensor.info.dtype} [${tensor.info.shape.join(', ')}]`;
const sameShape = (a: TensorSource, b: TensorSource): boolean =>
  a.info.shape.length === b.info.shape.length && a.info.shape.every((dim, i) => dim === b.info.shape[i]);

/**
 * Puts the tensors of `weights` into the graph of `base`, by name; element type and shape must be equal.
 * Tensors of the graph that `weights` lacks keep the base's values, tensors that the graph lacks are left out;
 * both are listed.
 *
 * Findings of severity error: REBIND_SHAPE, REBIND_DTYPE, REBIND_NOTHING (no name in common). Warnings:
 * REBIND_MISSING (a float tensor of at least one dimension kept from the base), REBIND_LEFT_OVER. Constants kept
 * from the base (scalars, integers: what exporters add to a graph) are one finding of severity info.
 * Metadata is the base's, since it describes the graph. Throws E_UNSUPPORTED if `base` has no graph.
 */
export function rebind(base: Model, weights: Model): { model: Model; findings: Finding[] } {
  if (!base.graph)
    throw new MlserError('E_UNSUPPORTED', `the base of --graph is a ${base.format} file without a graph`, {
      details: { format: base.format },
      hint: 'name an .onnx file that holds the graph',
    });
  const offered = tensorMap(weights);
  const findings: Finding[] = [];
  const kept: string[] = [];
  let bound = 0;
  const tensors = base.tensors.map((old) => {
    const { name } = old.info;
    const found = offered.get(name);
    if (!found) {
      if (isFloat(old.info.dtype) && old.info.shape.length > 0)
        findings.push(
          finding(
            'warning',
            'REBIND_MISSING',
            name,
            `${name} ${shapeText(old)} is not among the new weights: the base's values stay`,
          ),
        );
      else kept.push(name);
      return old;
    }
    offered.delete(name);
    bound++;
    if (!sameShape(old, found))
      findings.push(
        finding(
          'error',
          'REBIND_SHAPE',
          name,
          `${name}: the graph needs ${shapeText(old)}, the new weights have ${shapeText(found)}`,
        ),
      );
    else if (old.info.dtype !== found.info.dtype)
      findings.push(
        finding(
          'error',
          'REBIND_DTYPE',
          name,
          `${name}: the graph needs ${old.info.dtype}, the new weights have ${found.info.dtype} (cast them with --dtype)`,
        ),
      );
    return found;
  });
  for (const name of offered.keys())
    findings.push(
      finding('warning', 'REBIND_LEFT_OVER', name, `${name} of the new weights has no place in the graph`),
    );
  if (kept.length > 0)
    findings.push(
      finding('info', 'REBIND_KEPT', 'graph', `${kept.length} constants of the graph stay as they are`),
    );
  if (bound === 0 && base.tensors.length > 0)
    findings.push(
      finding(
        'error',
        'REBIND_NOTHING',
        'graph',
        'no tensor of the graph has a name of the new weights (rename them with --rename or --prefix)',
      ),
    );
  return { model: { ...base, tensors, aliases: new Map() }, findings };
}
