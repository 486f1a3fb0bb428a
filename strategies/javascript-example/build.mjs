// Builds a strategy to a component that imports nothing but the contract.
// usage: node build.mjs WIT-FOLDER SOURCE.js OUT.wasm

import { writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { join, resolve } from 'node:path';

const [witPath, sourcePath, out] = process.argv.slice(2).map((path) => resolve(path));
if (!out) {
  console.error('usage: node build.mjs WIT-FOLDER SOURCE.js OUT.wasm');
  process.exit(2);
}
// From the working folder, where npm has installed it.
const library = join(process.cwd(), 'node_modules/@bytecodealliance/componentize-js/src/componentize.js');
const { componentize } = await import(pathToFileURL(library));
const { component } = await componentize({
  sourcePath,
  witPath,
  worldName: 'strategy',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile(out, component);
