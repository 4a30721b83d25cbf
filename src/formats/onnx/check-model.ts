import { type Finding, finding, MlserError } from '../../errors.js';
import { checkFunctionBody, checkMainGraph } from './check-graph.js';
import { domainOf, functionId, type NodeRules } from './check-node.js';
import { invalid } from './invalid.js';
import { NEWEST_OPSET } from './operators.js';
import type { FunctionProto, ModelProto, NodeProto, OperatorSetIdProto } from './schema.js';

/** The newest intermediate representation whose rules are known here. */
export const NEWEST_IR = 14n;

/**
 * The rules of a model that need no tensor: versions, imported operator sets, metadata, functions and graphs
 * (IR.md). Throws E_MALFORMED or E_UNSUPPORTED; what is broken but has one clear meaning is a finding.
 */
export function checkModel(model: ModelProto, file: string, findings: Finding[]): void {
  const irVersion = checkIrVersion(model, file);
  const opsets = importedOpsets(model, irVersion, file, findings);
  checkMetadata(model, file, findings);
  if (!model.graph)
    throw invalid(`${file}: the model has no graph`, { file }, 'the file looks truncated: copy it again');
  const functions = checkFunctions(model.functions, file);
  const rules: NodeRules = { file, irVersion, opsets, functions, inFunction: false, findings };
  for (const body of model.functions)
    checkFunctionBody(body, { ...rules, opsets: functionOpsets(body, opsets, file), inFunction: true });
  checkMainGraph(model.graph, rules);
}

function checkIrVersion(model: ModelProto, file: string): bigint {
  const { irVersion } = model;
  if (irVersion === undefined)
    throw invalid(
      `${file}: ir_version is not set`,
      { file },
      'the file is not an ONNX model or is truncated: copy it again',
    );
  if (irVersion <= 0n) throw invalid(`${file}: ir_version ${irVersion} is not a version`, { file });
  if (irVersion > NEWEST_IR)
    throw new MlserError('E_UNSUPPORTED', `${file}: ir_version ${irVersion} is newer than ${NEWEST_IR}`, {
      details: { file, found: irVersion.toString(), needed: `at most ${NEWEST_IR}` },
      hint: 'update mlser, or export the model with an older IR version',
    });
  return irVersion;
}

/** Domain → version. '' and 'ai.onnx' are one domain. */
function opsetMap(imports: readonly OperatorSetIdProto[], what: string, file: string): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of imports) {
    const name = domainOf(domain);
    if (version === undefined || version < 1n || version > 0x7fffffffn)
      throw invalid(
        `${file}: ${what} imports version ${version ?? '(none)'} of ${JSON.stringify(name)}, which is not a version`,
        { file, domain: name },
      );
    const known = opsets.get(name);
    if (known !== undefined && known !== Number(version))
      throw invalid(`${file}: ${what} imports versions ${known} and ${version} of ${JSON.stringify(name)}`, {
        file,
        domain: name,
      });
    opsets.set(name, Number(version));
  }
  return opsets;
}

function importedOpsets(
  model: ModelProto,
  irVersion: bigint,
  file: string,
  findings: Finding[],
): Map<string, number> {
  if (irVersion < 3n) {
    if (model.opsetImport.length > 0)
      throw invalid(`${file}: IR version ${irVersion} must not have opset_import`, { file });
    return new Map([['', 1]]);
  }
  if (model.opsetImport.length === 0)
    throw invalid(
      `${file}: IR version ${irVersion} must have opset_import, there is none`,
      { file },
      'the file looks truncated: copy it again',
    );
  const opsets = opsetMap(model.opsetImport, 'the model', file);
  const standard = opsets.get('');
  if (standard !== undefined && standard > NEWEST_OPSET)
    findings.push(
      finding(
        'warning',
        'OPSET_NEWER',
        'opset_import',
        `operator set ${standard} is newer than ${NEWEST_OPSET}: operators are not checked by name`,
      ),
    );
  return opsets;
}

function functionOpsets(
  body: FunctionProto,
  outer: ReadonlyMap<string, number>,
  file: string,
): ReadonlyMap<string, number> {
  const own = opsetMap(body.opsetImport, `function ${JSON.stringify(body.name ?? '')}`, file);
  return own.size === 0 ? outer : own;
}

function checkMetadata(model: ModelProto, file: string, findings: Finding[]): void {
  const seen = new Map<string, string>();
  for (const { key = '', value = '' } of model.metadataProps) {
    const known = seen.get(key);
    if (known !== undefined && known !== value)
      throw invalid(`${file}: metadata key ${JSON.stringify(key)} has two values`, { file, key });
    if (known !== undefined)
      findings.push(
        finding('warning', 'METADATA_TWICE', key, `metadata key ${JSON.stringify(key)} is there twice`),
      );
    seen.set(key, value);
  }
}

/** Ids of the functions, which must be unique and must not call themselves, however indirectly. */
function checkFunctions(functions: readonly FunctionProto[], file: string): Set<string> {
  const bodies = new Map<string, FunctionProto>();
  for (const body of functions) {
    const label = `function ${JSON.stringify(body.name ?? '')}`;
    const { name = '' } = body;
    if (name === '') throw invalid(`${file}: a function has no name`, { file });
    const id = functionId(body.domain, body.name, body.overload);
    if (bodies.has(id))
      throw invalid(`${file}: ${label} of domain ${JSON.stringify(body.domain ?? '')} is there twice`, {
        file,
        function: body.name,
      });
    bodies.set(id, body);
    unique(body.input, `${file}: ${label}: input`, file);
    unique(body.output, `${file}: ${label}: output`, file);
    unique(
      [...body.attribute, ...body.attributeProto.map(({ name }) => name ?? '')],
      `${file}: ${label}: attribute`,
      file,
    );
  }
  checkRecursion(bodies, file);
  return new Set(bodies.keys());
}

function unique(names: readonly string[], what: string, file: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw invalid(`${what} ${JSON.stringify(name)} is there twice`, { file, name });
    seen.add(name);
  }
}

/** Function calls may nest this deep (as in the onnx checker). */
const CALL_DEPTH = 100;

function* callsOf(nodes: readonly NodeProto[]): Generator<string> {
  for (const node of nodes) {
    yield functionId(node.domain, node.opType, node.overload);
    for (const { g, graphs } of node.attribute)
      for (const graph of g ? [g, ...graphs] : graphs) yield* callsOf(graph.node);
  }
}

function checkRecursion(bodies: ReadonlyMap<string, FunctionProto>, file: string): void {
  const calls = new Map<string, readonly string[]>();
  for (const [id, body] of bodies)
    calls.set(
      id,
      [...new Set(callsOf(body.node))].filter((called) => bodies.has(called)),
    );
  /** Depth of the calls below a function, once known. */
  const depths = new Map<string, number>();
  for (const root of bodies.keys()) {
    const path: { readonly id: string; next: number }[] = [{ id: root, next: 0 }];
    const onPath = new Set([root]);
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const next = depths.has(top.id) ? undefined : calls.get(top.id)?.[top.next++];
      if (next === undefined) {
        const below = (calls.get(top.id) ?? []).map((called) => (depths.get(called) ?? 0) + 1);
        depths.set(top.id, Math.max(0, ...below));
        onPath.delete(top.id);
        path.pop();
        continue;
      }
      const name = bodies.get(next)?.name ?? '';
      if (onPath.has(next))
        throw invalid(`${file}: function ${JSON.stringify(name)} calls itself`, { file, function: name });
      if (path.length >= CALL_DEPTH)
        throw invalid(`${file}: functions call each other more than ${CALL_DEPTH} deep`, {
          file,
          function: name,
        });
      path.push({ id: next, next: 0 });
      onPath.add(next);
    }
  }
  for (const [id, depth] of depths)
    if (depth >= CALL_DEPTH)
      throw invalid(`${file}: functions call each other more than ${CALL_DEPTH} deep`, {
        file,
        function: bodies.get(id)?.name ?? '',
      });
}
