// Run by tests as a process of its own: writes a staged output slowly, or many times, and can be killed at any moment.
//   node staged-child.js write <target> [force] [uid=N]   64 pieces of 16 KiB, a line "wrote N" after each
//   node staged-child.js race <target> <byte> <rounds>    whole files of one byte, one after the other
import { removeStagedLeftovers, stageOutput } from '../../dist/io/staged.js';

const [mode, target, ...rest] = process.argv.slice(2);
const fail = (error) => {
  process.stdout.write(
    `${JSON.stringify({ code: error.code, errno: error.details?.errno, hint: error.hint, message: error.message })}\n`,
  );
  process.exit(3);
};
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
])
  process.on(signal, () => {
    removeStagedLeftovers();
    process.exit(code);
  });

const uid = rest.find((word) => word.startsWith('uid='));
if (uid) process.setuid(Number(uid.slice(4)));

const pause = () => new Promise((resolve) => setTimeout(resolve, 2));

async function writeOnce(force, byte, slowly) {
  const output = stageOutput(target, { force });
  try {
    const sink = await output.create(output.main);
    for (let i = 0; i < 64; i++) {
      await sink.append(Buffer.alloc(16384, byte));
      if (!slowly) continue;
      process.stdout.write(`wrote ${i}\n`);
      await pause();
    }
    await output.commit();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

try {
  if (mode === 'write') await writeOnce(rest.includes('force'), 0x77, true);
  else for (let i = 0; i < Number(rest[1]); i++) await writeOnce(true, Number(rest[0]), false);
  process.stdout.write('done\n');
} catch (error) {
  fail(error);
}
