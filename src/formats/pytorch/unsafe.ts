import { MlserError } from '../../errors.js';

/**
 * Modules that a checkpoint has no use for and that a pickle made to harm does: they start programs, open files
 * or connections, or run code. A name here counts for its sub-modules too.
 */
const UNSAFE_MODULES: ReadonlySet<string> = new Set([
  ...[
    'os',
    'posix',
    'nt',
    'sys',
    'subprocess',
    'commands',
    'popen2',
    'pty',
    'shutil',
    'platform',
    'signal',
    'resource',
  ],
  ...[
    'socket',
    'socketserver',
    'ssl',
    'http',
    'httplib',
    'urllib',
    'urllib2',
    'urllib3',
    'ftplib',
    'smtplib',
    'poplib',
  ],
  ...[
    'imaplib',
    'telnetlib',
    'xmlrpc',
    'requests',
    'aiohttp',
    'httpx',
    'webbrowser',
    'asyncio',
    'multiprocessing',
  ],
  ...['_posixsubprocess', 'ctypes', '_ctypes', 'cffi', 'mmap', 'fcntl', 'gc'],
  ...[
    'runpy',
    'importlib',
    '_frozen_importlib',
    'imp',
    'pkgutil',
    'zipimport',
    'site',
    'sysconfig',
    'ensurepip',
    'pip',
  ],
  ...[
    'setuptools',
    'distutils',
    'venv',
    'pydoc',
    'idlelib',
    'code',
    'codeop',
    'bdb',
    'pdb',
    'profile',
    'cProfile',
  ],
  ...['trace', 'timeit', 'doctest', 'inspect', 'operator', '_operator'],
  ...['marshal', 'pickle', '_pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'dbm', 'sqlite3'],
  ...['io', '_io', 'tempfile', 'fileinput', 'linecache', 'glob', 'tarfile', 'zipfile', 'atexit'],
  ...[
    'numpy.testing',
    'numpy.f2py',
    'numpy.distutils',
    'numpy.ctypeslib',
    'torch.hub',
    'torch.package',
    'torch.ops',
  ],
  ...['torch.classes', 'torch.utils.cpp_extension', 'torch.utils._config_module', 'torch.utils.bottleneck'],
  ...[
    'torch.utils.collect_env',
    'torch._inductor',
    'torch._dynamo',
    'torch.distributed.rpc',
    'torch.serialization',
  ],
]);

/** Single names in modules that are otherwise harmless. */
const UNSAFE_NAMES: ReadonlySet<string> = new Set([
  ...['torch.load', 'torch.jit.load', 'torch.storage._load_from_bytes', 'torch._utils._import_dotted_name'],
  ...['numpy.load', 'numpy.save', 'numpy.fromfile', 'numpy.memmap', 'numpy.loadtxt', 'numpy.genfromtxt'],
  ...[
    'types.CodeType',
    'types.FunctionType',
    'pandas.read_pickle',
    'functools.reduce',
    'codecs.open',
    'torch.fx._symbolic_trace.wrap',
  ],
]);

/** What of `builtins` a pickle may name: types and exceptions. Everything else there is a function that acts. */
const HARMLESS_BUILTINS =
  /^(bool|int|float|complex|str|bytes|bytearray|list|tuple|dict|set|frozenset|object|slice|range|type|property|Ellipsis|NotImplemented|\w*(Error|Exception|Warning|Interrupt|Exit|Iteration))$/;

const isUnsafe = (module: string, name: string): boolean => {
  if (module === 'builtins') return !HARMLESS_BUILTINS.test(name);
  if (UNSAFE_NAMES.has(`${module}.${name}`)) return true;
  const parts = `${module}.${name}`.split('.');
  return parts.some((_, i) => i + 1 < parts.length && UNSAFE_MODULES.has(parts.slice(0, i + 1).join('.')));
};

/** Throws E_UNSAFE if a checkpoint that names `module.name` cannot be an honest one. */
export function refuseUnsafe(module: string, name: string, file: string): void {
  if (!isUnsafe(module, name)) return;
  throw new MlserError(
    'E_UNSAFE',
    `${file}: the pickle names ${module}.${name}, which weights have no use for; it was not loaded or run`,
    {
      details: { file, global: `${module}.${name}` },
      hint: 'this file would run code when Python loads it: get the weights from a source you trust, best as safetensors',
    },
  );
}
