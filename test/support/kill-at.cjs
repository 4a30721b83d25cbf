// Loaded before the command line (node --require): ends the process as `kill -9` does, right before the call number
// MLSER_TEST_KILL_AT of those that change something on the disk. With MLSER_TEST_COUNT it only counts them, into a file.
const fs = require('node:fs');
const { isMainThread } = require('node:worker_threads');

const killAt = Number(process.env.MLSER_TEST_KILL_AT ?? -1);
const countFile = process.env.MLSER_TEST_COUNT;
const CHANGING = [
  'openSync',
  'writeFileSync',
  'copyFileSync',
  'writeSync',
  'mkdirSync',
  'renameSync',
  'rmSync',
  'rmdirSync',
  'unlinkSync',
  'linkSync',
  'ftruncateSync',
  'fsyncSync',
  'closeSync',
];
const appendFile = fs.writeFileSync;
let calls = 0;
if (isMainThread)
  for (const name of CHANGING) {
    const real = fs[name];
    fs[name] = (...args) => {
      const reads = name === 'openSync' && (args[1] === undefined || args[1] === 'r');
      if (!reads && calls++ === killAt) process.kill(process.pid, 'SIGKILL');
      return real.apply(fs, args);
    };
  }
if (countFile) process.on('exit', () => appendFile(countFile, String(calls)));
