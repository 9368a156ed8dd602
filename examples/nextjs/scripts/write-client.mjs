// Writes lib/api.mjs: lib/api.ts as JavaScript that needs no compiler. With --check, only compares.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const FOLDER = join(import.meta.dirname, "..", "lib");
const compilerOptions = { target: ts.ScriptTarget.ES2020, module: ts.ModuleKind.ESNext };
const { outputText } = ts.transpileModule(readFileSync(join(FOLDER, "api.ts"), "utf8"), { compilerOptions });
const text = `// Generated from api.ts by npm run client.\n\n${outputText}`;
const file = join(FOLDER, "api.mjs");

if (!process.argv.includes("--check")) writeFileSync(file, text);
else if (readFileSync(file, "utf8") !== text) process.exit(1);
