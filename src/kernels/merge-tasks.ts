import { type Batch, bytesOf, chained, plainBatches } from './batches.js';
import {
  bySpan,
  carried,
  endsBefore,
  type Passenger,
  partsIn,
  type Span,
  spanOf,
  tasksAlone,
} from './passengers.js';
import { spanBytes } from './pipeline.js';
import { WINDOW_BYTES } from './source-window.js';
import { codedOf, type Task, type TaskResult } from './tasks.js';

export interface Merged {
  readonly batches: readonly Batch[];
  /** Places of their results among the tasks and, from there on, the parts of passengers. */
  readonly order: readonly number[];
  readonly rides: readonly Ride[];
}

/** A passenger that rides along, its parts and the places of their results. */
export interface Ride {
  readonly passenger: Passenger;
  readonly tasks: readonly Task[];
  readonly places: readonly number[];
}

/** What batches gave, at the places of their tasks and parts. */
export function resultsOf({ order }: Merged, found: readonly TaskResult[]): TaskResult[] {
  const results: TaskResult[] = [];
  order.forEach((place, i) => {
    results[place] = found[i] ?? {};
  });
  return results;
}

interface Placed extends Span {
  readonly task: Task;
  /** In the order that they came. */
  readonly index: number;
}

/** Tasks that read a range of a file together. */
interface Group {
  readonly members: readonly Placed[];
  /** Parts of passengers. */
  readonly riders: Placed[];
  /** It is done after the group before it, on the same thread. */
  goesOn: boolean;
}

/**
 * Batches of tasks of several outputs. Tasks that read the same range of a file come into one batch, whatever they make of
 * it, so that their worker reads it once; passengers join them. Comparisons take ranges that are larger than the window:
 * those of the same range go abreast. What else does not fit (a weight that is read column by column and is larger) reads
 * for itself; its passengers do so right behind it, while the system has its bytes.
 */
export function mergedBatches(tasks: readonly Task[], passengers: readonly Passenger[] = []): Merged {
  const placed = tasks.map(placeOf).sort(byPlace);
  const near = placed.filter((one) => !reachesFar(one));
  const far = placed.filter(reachesFar);
  const riding = carried(passengers, near.filter(readsAll));
  const groups = grouped(near, riding.filter(({ inOrder }) => inOrder).map(spanOf));
  const rides = board(groups, riding, tasks.length);
  const boarded = new Set(riding);
  const left = passengers.filter((passenger) => !boarded.has(passenger));
  let next = tasks.length + rides.reduce((sum, ride) => sum + ride.tasks.length, 0);
  const behind = carried(left, far.filter(readsAll)).map((passenger): Ride => {
    const own = tasksAlone(passenger);
    return { passenger, tasks: own, places: own.map(() => next++) };
  });
  const units = [...chains(groups).map(unitOf), ...besides(far, behind)];
  // The longest first: one worker has it until it has ended.
  units.sort((a, b) => b.long - a.long);
  return {
    batches: units.flatMap(({ batches }) => batches),
    order: units.flatMap(({ order }) => order),
    rides: [...rides, ...behind],
  };
}

/**
 * Groups of at most what is held. A span that has to be gone through in order begins a group, unless it fits into one: then
 * no thread has to do more of them than one.
 */
function grouped(placed: readonly Placed[], inOrder: readonly Span[]): Group[] {
  const groups: Group[] = [];
  let members: Placed[] = [];
  let [from, to, at] = [0, 0, 0];
  const close = (): void => {
    if (members.length > 0) groups.push({ members, riders: [], goesOn: false });
    members = [];
  };
  for (const one of placed) {
    while (endsBefore(inOrder[at], one)) at++;
    const span = inOrder[at];
    const begins = span?.path === one.path && span.from <= one.from && span.from >= to;
    const reach = begins ? Math.max(one.to, span.to) : one.to;
    if (members[0]?.path !== one.path || reach - from > WINDOW_BYTES) close();
    if (members.length === 0) [from, to] = [one.from, one.from];
    members.push(one);
    to = Math.max(to, one.to);
  }
  close();
  return groups;
}

/** Puts parts of passengers, which are in order of their places, into the groups that read the same. */
function board(groups: readonly Group[], passengers: readonly Passenger[], firstIndex: number): Ride[] {
  const spans = groups.map(({ members }) => around(members));
  let index = firstIndex;
  let first = 0;
  return passengers.map((passenger) => {
    const own = spanOf(passenger);
    while (endsBefore(spans[first], own)) first++;
    let last = first;
    while (spans[last]?.path === own.path && (spans[last]?.from ?? own.to) < own.to) last++;
    const tasks: Task[] = [];
    const places: number[] = [];
    for (const [i, { start, end }] of partsIn(passenger, spans.slice(first, last)).entries()) {
      const group = groups[first + i];
      if (passenger.inOrder && i > 0 && group) group.goesOn = true;
      if (start === end) continue;
      const task = passenger.part(start, end);
      group?.riders.push(placeOf(task, index));
      tasks.push(task);
      places.push(index++);
    }
    return { passenger, tasks, places };
  });
}

/** Groups that one thread has to do one after the other. */
function chains(groups: readonly Group[]): Group[][] {
  const found: Group[][] = [];
  for (const group of groups) {
    if (group.goesOn) found.at(-1)?.push(group);
    else found.push([group]);
  }
  return found;
}

/** Batches with the places of their results. */
interface Unit {
  readonly batches: readonly Batch[];
  readonly order: readonly number[];
  /** Bytes that one worker has to do, where they are many. */
  readonly long: number;
}

function unitOf(groups: readonly Group[]): Unit {
  const all = groups.map(({ members, riders }) => [...members, ...riders]);
  const batches = all.flatMap(batchesOf);
  const order = all.flat().map(({ index }) => index);
  const chain = groups.length > 1 ? chained(batches) : undefined;
  return chain ? { batches: [chain], order, long: bytesOf(chain) } : { batches, order, long: 0 };
}

/** Tasks that are larger than what is held, each for itself or abreast; behind those of a tensor come its passengers. */
function besides(placed: readonly Placed[], behind: readonly Ride[]): Unit[] {
  const riders = behind.map(({ passenger, tasks, places }) => ({
    span: spanOf(passenger),
    tasks,
    order: places,
  }));
  return tensorsIn(placed).map((own): Unit => {
    const groups: Placed[][] = [];
    for (const one of own) {
      const group = groups.at(-1);
      if (group?.[0] && isAbreast(group[0], one)) group.push(one);
      else groups.push([one]);
    }
    const all = around(own);
    const joining = riders.splice(
      0,
      riders.findLastIndex(({ span }) => bySpan(span, { ...all, from: all.to }) < 0) + 1,
    );
    const batches = [...groups.flatMap(batchesOf), ...plainBatches(joining.flatMap(({ tasks }) => tasks))];
    return {
      batches,
      order: [...groups.flat().map(({ index }) => index), ...joining.flatMap(({ order }) => order)],
      long: Math.max(...batches.map(bytesOf)),
    };
  });
}

/** Tasks that overlap. */
function tensorsIn(placed: readonly Placed[]): Placed[][] {
  const found: Placed[][] = [];
  let to = 0;
  for (const one of placed) {
    const last = found.at(-1);
    if (last?.[0]?.path === one.path && one.from < to) last.push(one);
    else found.push([one]);
    to = last?.[0]?.path === one.path ? Math.max(to, one.to) : one.to;
  }
  return found;
}

const reachesFar = ({ task, from, to }: Placed): boolean =>
  task.program.coded !== undefined || to - from > WINDOW_BYTES;

/** Reads more than is held of a file, and so for itself. */
export const isApart = (task: Task | undefined): boolean =>
  task !== undefined && reachesFar(placeOf(task, 0));

/** Samples are a few elements of every block, and counting ends early. */
const readsAll = ({ task: { kind, program } }: Placed): boolean =>
  kind !== 'sample' && kind !== 'distinct' && program.coded === undefined;

/** Comparisons keep nothing in the arena from one block to the next, and all have blocks of the same size. */
const isAbreast = (a: Placed, b: Placed): boolean =>
  a.task.kind === 'compare' &&
  b.task.kind === 'compare' &&
  [a.task, b.task].flatMap(codedOf).length === 0 &&
  a.path === b.path &&
  a.from === b.from &&
  a.to === b.to;

/** The range of its file that a task reads. */
function placeOf(task: Task, index: number): Placed {
  const { program } = task;
  const whole = task.kind === 'blocks';
  const [start, end] = whole ? [0, task.rows * task.columns] : [task.start, task.end];
  const from = program.offset + Math.floor((start * program.inBits) / 8);
  return { task, index, path: program.path, from, to: from + spanBytes(program.inBits, start, end) };
}

const byPlace = (a: Placed, b: Placed): number => bySpan(a, b) || a.index - b.index;

function around(placed: readonly Placed[]): Span {
  let [from, to] = [Number.POSITIVE_INFINITY, 0];
  for (const one of placed) {
    from = Math.min(from, one.from);
    to = Math.max(to, one.to);
  }
  return { path: placed[0]?.path ?? '', from, to };
}

/** One batch with a window where bytes are read more than once, else as many as there is work for. */
function batchesOf(placed: readonly Placed[]): Batch[] {
  const tasks = placed.map(({ task }) => task);
  const window = around(placed);
  const read = placed.reduce((sum, one) => sum + one.to - one.from, 0);
  if (read <= window.to - window.from) return plainBatches(tasks);
  return [placed.every(reachesFar) ? { tasks, window, abreast: true } : { tasks, window }];
}
