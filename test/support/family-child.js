// Run by tests as a process of its own: replaces a family of files, or only opens one, and is killed (SIGKILL) before
// its n-th change of the file system from the commit on.
//   node family-child.js commit <folder> <n> <names, main last> [force] [retire=NAME] [surplus=NAME]
//   node family-child.js open <file> <n>
// Prints the number of changes if it was not killed.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [mode, where, n, names = '', ...rest] = process.argv.slice(2);
let counting = false;
let calls = 0;
for (const name of [
  'renameSync',
  'linkSync',
  'unlinkSync',
  'rmSync',
  'rmdirSync',
  'writeSync',
  'fsyncSync',
  'chmodSync',
]) {
  const real = fs[name];
  fs[name] = (...args) => {
    if (counting && ++calls === Number(n)) process.kill(process.pid, 'SIGKILL');
    return real(...args);
  };
}
syncBuiltinESMExports();

const { stageOutput } = await import('../../dist/io/staged.js');
const { diskFiles } = await import('../../dist/io/disk.js');

if (mode === 'commit') {
  const family = names.split(',');
  const main = family.at(-1);
  const target = rest.find((word) => word.startsWith('retire='))?.slice(7) ?? main;
  const output = stageOutput(`${where}/${target}`, { force: rest.includes('force') });
  output.setMain(main);
  for (const name of family) await (await output.create(name)).append(Buffer.from(`new ${name}`));
  for (const word of rest) if (word.startsWith('surplus=')) output.retire(word.slice(8));
  await output.stage();
  counting = true;
  await output.commit();
} else {
  counting = true;
  const files = diskFiles(where);
  await files.open(files.main);
  await files.close();
}
process.stdout.write(`${calls}\n`);
