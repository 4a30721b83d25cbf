import type { FormatDescriptor, ReadContext } from '../core/format.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding, isMlserError } from '../errors.js';
import { detectFormat } from '../formats/detect.js';
import type { InputFiles } from '../io/files.js';
import { sameDims } from '../runtime/metrics.js';

export interface Reopened {
  readonly descriptor: FormatDescriptor;
  readonly model: Model;
}

/** Opens what was staged as anybody would: recognised by its bytes, read by our reader. A refusal is a finding. */
export async function reopen(
  staged: InputFiles,
  context: ReadContext,
): Promise<{ readonly reopened?: Reopened; readonly findings: readonly Finding[] }> {
  try {
    const descriptor = await detectFormat(staged);
    const model = await (await descriptor.reader()).read(staged, context);
    return { reopened: { descriptor, model }, findings: [] };
  } catch (error) {
    if (!isMlserError(error) || error.code === 'E_INTERRUPTED') throw error;
    return {
      findings: [
        finding(
          'error',
          'CANNOT_REOPEN',
          staged.main,
          `what was written is refused: ${error.code}: ${error.message}`,
        ),
      ],
    };
  }
}

/** What was written must be what was meant: names, types, shapes, ties, graph. */
export function checkStructure({ descriptor, model: written }: Reopened, intended: Model): Finding[] {
  const findings: Finding[] = [];
  const found = tensorMap(written);
  for (const tensor of intended.tensors) {
    const { name } = tensor.info;
    const other = found.get(name);
    found.delete(name);
    if (other) findings.push(...checkTensor(other, tensor));
    else if (!droppedAlias(name, intended, written, descriptor))
      findings.push(finding('error', 'TENSOR_MISSING', name, 'the tensor is not in the written file'));
  }
  for (const name of found.keys())
    findings.push(
      finding(
        'error',
        'TENSOR_UNEXPECTED',
        name,
        'the written file has a tensor that was not meant to be there',
      ),
    );
  if (descriptor.keeps.aliases) findings.push(...checkAliases(written, intended));
  findings.push(...checkGraph(written, intended));
  if (descriptor.keeps.training && intended.training && !written.training)
    findings.push(
      finding('error', 'TRAINING_MISSING', written.format, 'the training state is not in the written file'),
    );
  return findings;
}

function checkTensor(written: TensorSource, intended: TensorSource): Finding[] {
  const { name, dtype, shape } = intended.info;
  const findings: Finding[] = [];
  if (written.info.dtype !== dtype)
    findings.push(
      finding('error', 'TENSOR_DTYPE_DIFFERS', name, `written as ${written.info.dtype}, meant as ${dtype}`),
    );
  if (!sameDims(written.info.shape, shape))
    findings.push(
      finding(
        'error',
        'TENSOR_SHAPE_DIFFERS',
        name,
        `written as [${written.info.shape.join(', ')}], meant as [${shape.join(', ')}]`,
      ),
    );
  return findings;
}

/** A format without ties may leave out the second name of a tensor (its writer has said so before). */
function droppedAlias(name: string, intended: Model, written: Model, descriptor: FormatDescriptor): boolean {
  if (descriptor.keeps.aliases) return false;
  const canonical = intended.aliases.get(name);
  return canonical !== undefined && written.tensors.some((tensor) => tensor.info.name === canonical);
}

function checkAliases(written: Model, intended: Model): Finding[] {
  const group = (model: Model, name: string): string => model.aliases.get(name) ?? name;
  return [...intended.aliases].flatMap(([name, canonical]) =>
    group(written, name) === group(written, canonical)
      ? []
      : [
          finding(
            'warning',
            'ALIAS_LOST',
            name,
            `no longer tied to ${canonical}: the values are stored twice`,
          ),
        ],
  );
}

function checkGraph({ graph: written, format }: Model, { graph: intended }: Model): Finding[] {
  if (!written || !intended) return [];
  const differs = (what: string): Finding[] => [
    finding(
      'error',
      'GRAPH_DIFFERS',
      format,
      `the written graph differs from the one that was meant: ${what}`,
    ),
  ];
  const signature = (values: typeof written.inputs): string =>
    JSON.stringify(values.map(({ name, dtype, shape }) => [name, dtype, shape ?? null]));
  if (written.nodes !== intended.nodes) return differs(`${written.nodes} nodes instead of ${intended.nodes}`);
  if (signature(written.inputs) !== signature(intended.inputs)) return differs('inputs');
  if (signature(written.outputs) !== signature(intended.outputs)) return differs('outputs');
  const opsets = (graph: typeof written): string => JSON.stringify([...graph.opsets].sort());
  return opsets(written) === opsets(intended) ? [] : differs('operator sets');
}
