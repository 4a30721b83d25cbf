import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MlserError } from '../errors.js';
import { builtFile } from '../kernels/location.js';
import { Parts } from './parts.js';
import type {
  Answer,
  Backend,
  CreatedSession,
  MemoryUse,
  ModelReference,
  Request,
  Response,
  SessionProfile,
  SessionSettings,
} from './protocol.js';
import type { ValueInfo, Values } from './values.js';

export interface RuntimeOptions {
  readonly signal?: AbortSignal;
  /** One request may take this long; then the child is killed. */
  readonly timeoutMs?: number;
}

export interface Session {
  /** What it is called in messages. */
  readonly label: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Feeds in, outputs out: all that are tensors, or those named. E_RUNTIME. */
  run(feeds: Values, fetches?: readonly string[]): Promise<{ outputs: Values; milliseconds: number }>;
  /** Gives memory back in the child. Quiet if the child is gone. */
  release(): Promise<void>;
}

/** A session of a child process of ours, which can be timed there. */
export interface RuntimeSession extends Session {
  /** What making it took in the child. */
  readonly loadMilliseconds: number;
  /** Keeps feeds in the child, so that `measure` sends nothing. */
  hold(feeds: Values): Promise<void>;
  /** Milliseconds of `runs` runs on what is held, after `warmup` that do not count. */
  measure(warmup: number, runs: number): Promise<Float64Array>;
  /** What the runtime saw of every node, for sessions whose settings ask for it. Once. */
  endProfile(): Promise<SessionProfile>;
}

/**
 * A child process with onnxruntime in it, started by the first request and again by the next one after a crash.
 * Our own event loop never waits for native code.
 */
export interface Runtime {
  create(model: ModelReference, settings: SessionSettings, label: string): Promise<RuntimeSession>;
  memory(): Promise<MemoryUse>;
  backends(): Promise<readonly Backend[]>;
  /** Starts the child and loads the runtime while others work. A failure shows at the first request that matters. */
  warm(): void;
  /** Ends a child that holds much although its sessions are gone; the next request starts another. */
  trim(): Promise<void>;
  close(): Promise<void>;
}

/** What a child may hold between two models, resident: a new one takes about half of it. */
const HELD_BYTES = 128 << 20;

/** A graph that has not answered by then is taken for one that never will. */
export const RUN_TIMEOUT_MS = 10 * 60_000;

type Body<R = Request> = R extends unknown ? Omit<R, 'id'> : never;
type AnswerOf<Op extends Answer['op']> = Extract<Answer, { op: Op }>;

export function startRuntime(options: RuntimeOptions = {}): Runtime {
  const timeoutMs = options.timeoutMs ?? RUN_TIMEOUT_MS;
  let child: Child | undefined;
  let closed = false;

  const ask = async <Op extends Answer['op']>(
    request: Body & { op: Op },
    during: string,
  ): Promise<AnswerOf<Op>> => {
    if (closed) throw new Error('the runtime was closed');
    options.signal?.throwIfAborted();
    if (!child || child.gone) child = spawnChild();
    const answer = await child.ask(request, during, timeoutMs, options.signal);
    if (answer.op !== request.op) throw new Error(`asked ${request.op}, was answered ${answer.op}`);
    return answer as AnswerOf<Op>;
  };

  return {
    async create(model, settings, label) {
      const { created } = await ask({ op: 'create', model, settings }, `loading ${label}`);
      const owner = child;
      return openSession(created, label, {
        ask: (request) => {
          if (child !== owner || owner?.gone) throw lost(label);
          return ask(request, `running ${label}`);
        },
        release: async (session) => {
          if (child === owner && owner && !owner.gone)
            await ask({ op: 'release', session }, `releasing ${label}`);
        },
      });
    },
    async memory() {
      return (await ask({ op: 'memory' }, 'starting')).memory;
    },
    async backends() {
      return (await ask({ op: 'backends' }, 'starting')).backends;
    },
    warm() {
      ask({ op: 'backends' }, 'starting').catch(() => {});
    },
    async trim() {
      if (!child || child.gone || (await ask({ op: 'memory' }, 'ending')).memory.now < HELD_BYTES) return;
      await child.end();
    },
    async close() {
      closed = true;
      await child?.end();
      child = undefined;
    },
  };
}

interface SessionCalls {
  ask(request: Body): Promise<Answer>;
  release(session: number): Promise<void>;
}

function openSession(
  { session, inputs, outputs, milliseconds: loadMilliseconds }: CreatedSession,
  label: string,
  calls: SessionCalls,
): RuntimeSession {
  const tensors = outputs.filter((output) => output.type !== undefined).map((output) => output.name);
  // The answer to a request is of its kind: `startRuntime` has checked it.
  const ask = async <Op extends Answer['op']>(request: Body & { op: Op }): Promise<AnswerOf<Op>> =>
    (await calls.ask(request)) as AnswerOf<Op>;
  return {
    label,
    inputs,
    outputs,
    loadMilliseconds,
    async run(feeds, fetches = tensors) {
      const answer = await ask({ op: 'run', session, feeds: [...feeds], fetches });
      return { outputs: new Map(answer.outputs), milliseconds: answer.milliseconds };
    },
    async hold(feeds) {
      await ask({ op: 'hold', session, feeds: [...feeds], fetches: tensors });
    },
    measure: async (warmup, runs) => (await ask({ op: 'measure', session, warmup, runs })).milliseconds,
    endProfile: async () => (await ask({ op: 'endProfile', session })).profile,
    release: () => calls.release(session),
  };
}

interface Child {
  readonly gone: boolean;
  ask(request: Body, during: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<Answer>;
  end(): Promise<void>;
}

interface Pending {
  readonly during: string;
  readonly parts: Parts;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

function spawnChild(): Child {
  const process_ = fork(fileURLToPath(builtFile('bundle/child.cjs')), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
    // onnxruntime 1.29 and later send names and hashes of models to its makers, and leave a log a process in the folder
    // for scratch files. Not in our name: who wants that sets the variable to 0.
    env: { ORT_DISABLE_TELEMETRY: '1', ...process.env },
  });
  const pending = new Map<number, Pending>();
  let next = 1;
  let gone = false;
  let log = '';
  /** Why we killed it, if we did. */
  let killed: ((during: string) => MlserError) | undefined;

  const kill = (): void => void process_.kill('SIGKILL');
  const exited = new Promise<void>((resolve) => {
    const ended = (code: number | null, signal: NodeJS.Signals | null, error?: Error): void => {
      gone = true;
      forget(process_);
      for (const { during, reject } of pending.values())
        reject(
          killed ? killed(during) : crashed(during, error?.message ?? signal ?? `exit ${code}`, signal, log),
        );
      pending.clear();
      resolve();
    };
    process_.once('error', (error) => ended(null, null, error));
    // 'close' may never come once the channel was disconnected; what is left in the pipe comes right after 'exit'.
    process_.once('exit', (code, signal) => {
      gone = true;
      setImmediate(() => setImmediate(() => ended(code, signal)));
    });
  });
  remember(process_);
  process_.stderr?.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString('utf8')).slice(-4000);
  });
  process_.on('message', (response: Response) => {
    const waiting = pending.get(response.id);
    if ('part' in response) {
      waiting?.parts.take(response.part);
      return;
    }
    pending.delete(response.id);
    if (pending.size === 0) hold(process_, false);
    if (response.ok) waiting?.resolve(wholeAnswer(response.answer, waiting.parts));
    else waiting?.reject(refused(waiting.during, response.message));
  });
  hold(process_, false);

  const child: Child = {
    get gone() {
      return gone;
    },
    async ask(request, during, timeoutMs, signal) {
      const id = next++;
      const stop = (why: (during: string) => MlserError): void => {
        killed ??= why;
        kill();
      };
      const timer = setTimeout(() => stop((what) => timedOut(what, timeoutMs)), timeoutMs);
      const onAbort = (): void => stop(interrupted);
      signal?.addEventListener('abort', onAbort, { once: true });
      hold(process_, true);
      try {
        return await new Promise<Answer>((resolve, reject) => {
          pending.set(id, { during, parts: new Parts(), resolve, reject });
          process_.send({ id, ...request }, (error) => {
            // A dead child also ends in 'close', which knows the signal: that message is the better one.
            if (error && !gone) setTimeout(() => pending.get(id)?.reject(error), 1000).unref();
          });
        });
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      }
    },
    async end() {
      if (gone) return;
      hold(process_, true);
      if (process_.connected) process_.disconnect();
      const timer = setTimeout(kill, 2000);
      await exited;
      clearTimeout(timer);
    },
  };
  return child;
}

/** Children that go when we do, whatever the reason: one listener for all of them. */
const children = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of children) child.kill('SIGKILL');
};
function remember(child: ChildProcess): void {
  if (children.size === 0) process.once('exit', killAll);
  children.add(child);
}
function forget(child: ChildProcess): void {
  children.delete(child);
  if (children.size === 0) process.off('exit', killAll);
}

const wholeAnswer = (answer: Answer, parts: Parts): Answer =>
  answer.op === 'run' ? { ...answer, outputs: parts.whole(answer.outputs) } : answer;

/** Only a pending request keeps our process alive, never an idle child. */
function hold(child: ChildProcess, on: boolean): void {
  const stderr = child.stderr as unknown as { ref?(): void; unref?(): void } | null;
  if (on) {
    child.ref();
    child.channel?.ref();
    stderr?.ref?.();
  } else {
    child.unref();
    child.channel?.unref();
    stderr?.unref?.();
  }
}

const NEXT_STEP = 'use --validate weights to leave the runtime out';

/** The runtime said no. Places in its own source code are left out of its message. */
function refused(during: string, message: string): MlserError {
  const text = message
    .trim()
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\/onnxruntime_src\/.*? was false\. /, '');
  return new MlserError('E_RUNTIME', `${during}: onnxruntime says: ${text}`, {
    details: { during, runtime: text },
    hint: NEXT_STEP,
  });
}

function crashed(
  during: string,
  how: string,
  signal: NodeJS.Signals | null | undefined,
  log: string,
): MlserError {
  // Frames of a native stack say nothing; what stands before them may.
  const lines = log.split('\n').map((line) => line.trim());
  const told = lines.filter((line) => line !== '' && !/^(\d+:|-+ |at )/.test(line));
  const tail = told.slice(-3).join(' | ').slice(-600);
  return new MlserError('E_RUNTIME', `onnxruntime crashed (${how}) while ${during}`, {
    details: { during, crashed: true, signal: signal ?? null, ...(tail === '' ? {} : { log: tail }) },
    hint: NEXT_STEP,
  });
}

const lost = (label: string): MlserError =>
  new MlserError('E_RUNTIME', `the session of ${label} ended with the runtime that crashed`, {
    details: { during: `running ${label}`, crashed: true },
    hint: NEXT_STEP,
  });

const timedOut = (during: string, timeoutMs: number): MlserError =>
  new MlserError(
    'E_RUNTIME',
    `onnxruntime gave no answer in ${Math.round(timeoutMs / 1000)} s while ${during}`,
    {
      details: { during, timedOut: true, seconds: timeoutMs / 1000 },
      hint: NEXT_STEP,
    },
  );

const interrupted = (during: string): MlserError =>
  new MlserError('E_INTERRUPTED', `interrupted while ${during}`, { details: { during } });
