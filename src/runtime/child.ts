/**
 * Entry of the child process that holds the runtime. Native code that aborts takes this process down, not ours,
 * and its memory returns when it ends.
 */
import { processMemory } from '../io/process-memory.js';
import { holdFeeds, measureRuns } from './measure.js';
import { partsOf, withoutParts } from './parts.js';
import { endProfile } from './profile.js';
import type { Answer, Request, Response } from './protocol.js';
import { createSession, loadRuntime, releaseSession, runSession } from './session.js';

async function answer(request: Request): Promise<Answer> {
  switch (request.op) {
    case 'create':
      return { op: 'create', created: await createSession(request.model, request.settings) };
    case 'run':
      return { op: 'run', ...(await runSession(request.session, request.feeds, request.fetches)) };
    case 'release':
      await releaseSession(request.session);
      return { op: 'release' };
    case 'hold':
      await holdFeeds(request.session, request.feeds, request.fetches);
      return { op: 'hold' };
    case 'measure':
      return { op: 'measure', milliseconds: await measureRuns(request) };
    case 'endProfile':
      return { op: 'endProfile', profile: endProfile(request.session) };
    case 'memory':
      return { op: 'memory', memory: processMemory() };
    case 'backends':
      return { op: 'backends', backends: (await loadRuntime()).listSupportedBackends() };
  }
}

/** Resolves once it is on its way, so that what is large does not pile up. */
const send = (response: Response): Promise<void> =>
  new Promise((resolve) => {
    if (process.send) process.send(response, () => resolve());
    else resolve();
  });

async function sendAnswer(id: number, found: Answer): Promise<void> {
  if (found.op !== 'run') {
    await send({ id, ok: true, answer: found });
    return;
  }
  for (const part of partsOf(found.outputs)) await send({ id, part });
  await send({ id, ok: true, answer: { ...found, outputs: withoutParts(found.outputs) } });
}

// Strictly one after the other: a session is not released while it runs.
let queue: Promise<void> = Promise.resolve();
process.on('message', (request: Request) => {
  queue = queue.then(async () => {
    try {
      await sendAnswer(request.id, await answer(request));
    } catch (error) {
      await send({
        id: request.id,
        ok: false,
        message: error instanceof Error ? error.message : String(error),
      });
    }
  });
});
// Without a parent there is nobody to answer.
process.on('disconnect', () => process.exit(0));
// The parent decides what an interrupt means.
process.on('SIGINT', () => {});
