/** Tests that ask the runtime themselves do so as our own process does (src/runtime/session.ts). */
Reflect.deleteProperty(globalThis, 'Float16Array');
