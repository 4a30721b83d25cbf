import * as path from 'node:path';
import type { Model } from '../../core/model.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { madeValues } from '../../graph/made-values.js';
import { type ArrayFile, withArrays } from '../../runtime/arrays.js';
import { feedsFromFile } from '../../runtime/feed-source.js';
import type { Values } from '../../runtime/values.js';
import { graphToJson } from '../to-json.js';
import { writeModel } from '../write.js';
import type { Candidate } from './candidates.js';
import { commandFailure, type Part } from './checks.js';
import { besides, valuesModel, writePlain } from './files.js';
import { type GateCheck, gateFailure, referencePart } from './gate-check.js';
import { type Failure, isSame } from './outcome.js';
import type { Reduced } from './reduction.js';
import type { ReducedNode, ReduceReport, Reduction } from './report.js';
import { wantsFeeds } from './run-command.js';
import { commandOf, type ReduceOptions, type Work } from './setup.js';

/** The part as a file, with its feeds as a file, fails as the whole graph did. @throws E_VALIDATION */
export async function prove(
  { options, folder, context }: Work,
  gate: GateCheck,
  part: Part,
  failure: Failure,
): Promise<void> {
  const model = path.join(folder, 'proof.onnx');
  const feeds = path.join(folder, 'proof.npz');
  await writePlain(part.model, model, 'onnx', context);
  if (part.feeds) await writePlain(valuesModel(part.feeds), feeds, 'npz', context);
  const command = commandOf(options);
  const found = command
    ? await commandFailure(command, { model, feeds }, context)
    : await withArrays(part.feeds && part.feeds.size > 0 ? feeds : undefined, async (file) =>
        gateFailure(gate, part.model, await readBack(part, file), { path: model }),
      );
  if (isSame(found, failure)) return;
  const now = found?.text ?? 'it passes';
  throw new MlserError('E_VALIDATION', `the part that was found fails otherwise once it is a file: ${now}`, {
    details: { wanted: failure.text, found: now },
    hint: 'the check may not give the same answer every time',
  });
}

async function readBack({ model, feeds }: Part, file: ArrayFile | undefined): Promise<Values | undefined> {
  if (!file) return feeds;
  const inputs = (model.graph?.inputs ?? []).map(({ name }) => ({
    ...{ name, shape: undefined },
    type: feeds?.get(name)?.type,
  }));
  return feedsFromFile(file, inputs, Number.POSITIVE_INFINITY).load(undefined);
}

/** What was found, to be written. */
export interface Found {
  readonly reduced: Reduced;
  readonly result: Part;
  readonly failure: Failure;
  readonly nodesBefore: number;
}

export async function writePart(
  { own, reference, output, options, context }: Work,
  gate: GateCheck,
  { reduced, result, failure, nodesBefore }: Found,
): Promise<ReduceReport> {
  const findings: Finding[] = reduced.minimal
    ? []
    : [
        finding(
          'warning',
          'NOT_MINIMAL',
          own.input,
          'the checks that were allowed are used up: more nodes may go',
        ),
      ];
  const report = await writeModel(
    {
      ...{ command: 'reduce', opened: [own, ...(reference ? [reference] : [])] as const },
      ...{ reference: result.model, intended: result.model, output, findings, writeOptions: {} },
      // What fails cannot be run next to something: that it fails has been proved.
      options: { ...options, validate: options.validate === 'run' ? 'weights' : options.validate },
    },
    context,
  );
  const feedsOut = options.feedsOut ?? (needsFeeds(failure, options) ? besides(output) : undefined);
  const other =
    options.referenceOut !== undefined && gate.reference && referencePart(gate.reference, result.model);
  const writes = report.validation.passed && !options.dryRun;
  if (writes && feedsOut !== undefined && result.feeds)
    await writePlain(valuesModel(result.feeds), feedsOut, 'npz', context, options.force ?? false);
  if (writes && other && options.referenceOut !== undefined)
    await writePlain(other, options.referenceOut, 'onnx', context, options.force ?? false);
  const graph = result.model.graph && graphToJson(result.model.graph);
  const reduce: Reduction = {
    failure: { kind: failure.kind, text: failure.text },
    nodesBefore,
    nodesAfter: reduced.candidate.count,
    checks: reduced.steps.length,
    minimal: reduced.minimal,
    nodes: nodesOf(own.model, reduced.candidate),
    inputs: graph?.inputs ?? [],
    outputs: graph?.outputs ?? [],
    ...(feedsOut !== undefined && result.feeds ? { feeds: feedsOut } : {}),
    ...(other && options.referenceOut !== undefined ? { reference: options.referenceOut } : {}),
    proved: true,
    steps: reduced.steps,
  };
  return { ...report, reduce };
}

/** A graph that the runtime does not even load, and a command that does not ask for feeds, have none beside them. */
const needsFeeds = ({ kind }: Failure, { check }: ReduceOptions): boolean =>
  check === undefined ? kind !== 'refused' : wantsFeeds(check);

function nodesOf(model: Model, { nodes }: Candidate): ReducedNode[] {
  const made = madeValues(model).filter(({ node }) => nodes.has(node));
  const seen = new Set<string>();
  return made.flatMap(({ node, label, op }) => {
    if (seen.has(label)) return [];
    seen.add(label);
    return [{ name: label, op, inputs: node.input, outputs: node.output }];
  });
}
