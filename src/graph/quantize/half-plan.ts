import { elementCount } from '../../core/dtype.js';
import { wire } from './half-borders.js';
import { keepCounting } from './half-counting.js';
import { demandsOf, givesHalf } from './half-demand.js';
import { keepSensitive } from './half-keep.js';
import { computesIn, type Half, moves } from './half-operators.js';
import { keepBatchTransposes } from './half-transposes.js';
import { type Frame, framesOf, type Site, sitesOf, type Value, type Wire } from './half-values.js';

export interface PlanOptions {
  readonly half: Half;
  readonly keepIo: boolean;
  readonly blocked: ReadonlySet<string>;
  /** Inputs with an initializer may be fed another value (IR version 4 and later). */
  readonly overridable: boolean;
  /** Version of the standard operators. */
  readonly opset: number;
}

/** Smaller constants steer the graph or are factors: they go where their takers compute. */
const WEIGHT_ELEMENTS = 1024;

/** Decides for every node in which type it computes, and for every value in which type it is made. */
export function plan(main: Frame, options: PlanOptions): void {
  wire(main);
  for (const { name = '' } of main.graph.input) {
    const value = main.values.get(name);
    if (value && (!value.tensor || (options.overridable && options.keepIo))) value.promised = !options.keepIo;
  }
  if (options.half === 'f16') planComputing(main, options);
  else planStorage(main, options);
}

const isBlocked = (site: Site, blocked: ReadonlySet<string>): boolean =>
  blocked.has(site.operator) || blocked.has(site.node.opType ?? '');

/** f16: everything computes in it that can. */
function planComputing(main: Frame, options: PlanOptions): void {
  const sites = [...sitesOf(main)];
  for (const site of sites) {
    if (isBlocked(site, options.blocked)) continue;
    site.half = site.kind === 'operator' && computesIn(site.operator, options.half, options.opset, site.node);
    for (const one of site.wires) one.half = !one.isPinned && !isCounter(one);
  }
  const order = [...inOrder(main)];
  keepSensitive(order);
  keepCounting(order);
  keepBatchTransposes(order);
  for (const site of [...order].reverse()) if (site.half) followTakers(site);
  for (const frame of framesOf(main)) for (const value of frame.values.values()) settle(value, options);
  for (const site of sites) settleEntries(site);
}

/** A state of one element is a number that counts or sums up over the rounds. */
const isCounter = ({ entries, exits, input }: Wire): boolean =>
  input !== undefined &&
  exits.length > 0 &&
  entries.some(({ shape }) => shape?.every((dim) => dim === 1) ?? false);

/** Nodes in the order of computing, those with sub-graphs before what is inside them. */
function* inOrder(frame: Frame): Generator<Site> {
  for (const site of frame.sites) {
    yield site;
    for (const inner of site.inner) yield* inOrder(inner);
  }
}

/** What only hands elements on between nodes in f32 needs no casts; weights are kept small, though. */
function followTakers(site: Site): void {
  if (!moves(site.operator, 'f16')) return;
  if (site.inputs.some((value) => value?.tensor && isLarge(value))) return;
  const demands = site.outputs.flatMap((value) => (value ? demandsOf(value) : []));
  if (demands.length > 0 && demands.every((demand) => demand === 'float')) site.half = false;
}

const isLarge = ({ tensor }: Value): boolean =>
  tensor !== undefined && elementCount(tensor.info.shape, tensor.info.name) >= WEIGHT_ELEMENTS;

/** The type in which a value is made. */
function settle(value: Value, { keepIo }: PlanOptions): void {
  const { maker } = value;
  if (value.kept || value.promised !== undefined) value.half = value.promised ?? false;
  else if (maker?.kind === 'operator') value.half = givesHalf(maker, maker.outputs.indexOf(value));
  else if (maker?.kind === 'border')
    value.half = maker.wires.some((one) => one.half && one.output === maker.outputs.indexOf(value));
  // Inputs of sub-graphs that no wire is known of stay as they are.
  else value.half = (maker ? maker.kind !== 'fixed' : value.tensor !== undefined) && isWanted(value, keepIo);
}

/** Casts and constants come in the type that is wanted; constants in f32 where both are. */
function isWanted(value: Value, keepIo: boolean): boolean {
  if (value.fit === 'large' || value.fit === 'tiny' || value.exceeds) return false;
  const demands = demandsOf(value);
  const half = demands.includes('half') || (value.isOutput && !keepIo);
  if (value.maker?.kind === 'cast-in') return half;
  return half && !demands.includes('float') && !(value.isOutput && keepIo);
}

/** Scalars steer the graph, and rounding them gains nothing. */
const isWeight = ({ tensor }: Value): boolean =>
  tensor !== undefined && elementCount(tensor.info.shape, tensor.info.name) > 1;

function settleEntries(site: Site): void {
  for (const { entries, half } of site.wires) for (const value of entries) value.half = half;
}

/** bf16: weights are stored in it, and what only hands them on does it in bf16. Nothing computes in it on the cpu. */
function planStorage(main: Frame, options: PlanOptions): void {
  for (const frame of framesOf(main)) for (const value of frame.values.values()) store(value, options);
  for (const site of inOrder(main)) {
    const given = site.inputs.flatMap((value) => value ?? []);
    site.half =
      site.kind === 'operator' &&
      !isBlocked(site, options.blocked) &&
      computesIn(site.operator, 'bf16', options.opset, site.node) &&
      given.length > 0 &&
      given.every(({ half }) => half);
    for (const [i, value] of site.outputs.entries()) if (value) value.half = givesHalf(site, i);
  }
}

function store(value: Value, { keepIo }: PlanOptions): void {
  if (value.kept || value.promised !== undefined) value.half = value.promised ?? false;
  else if (!value.maker) value.half = value.fit !== 'large' && !(value.isOutput && keepIo) && isWeight(value);
}
