// Serves the route handlers of examples/nextjs as Next.js would: node next_routes.cjs FOLDER PORT
// The TypeScript is checked first, as far as its packages are here: react and Toss's SDK are not.
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const ts = require("typescript");

globalThis.WebSocket ??= class {}; // supabase-js wants one, which Node has from 22 on; the routes use none

const [source, port] = process.argv.slice(2);
const HERE = path.join(source, "node.d.ts");
const NODE_TYPES = `
  declare const process: { env: Record<string, string | undefined> };
  declare module "node:crypto" { export function randomBytes(size: number): { toString(encoding: string): string } }
`;
const ROUTES = [
  ["POST", /^\/orders$/, "app/orders/route.js"],
  ["GET", /^\/orders\/(?<orderId>[^/]+)\/success$/, "app/orders/[orderId]/success/route.js"],
];

const options = {
  strict: true,
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
  module: ts.ModuleKind.CommonJS,
  moduleResolution: ts.ModuleResolutionKind.Node10,
  esModuleInterop: true,
  skipLibCheck: true,
  types: [],
};
fs.writeFileSync(HERE, NODE_TYPES);
const names = ["app", "lib"].flatMap((folder) =>
  fs.readdirSync(path.join(source, folder), { recursive: true }).map((file) => path.join(source, folder, file)),
);
const program = ts.createProgram([...names.filter((name) => name.endsWith(".ts")), HERE], options);
const problems = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
if (problems.length) {
  const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => source, getNewLine: () => "\n" };
  console.error(ts.formatDiagnostics(problems, host));
  process.exit(1);
}

http
  .createServer(async (request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    const [method, pattern, file] = ROUTES.find(([, route]) => route.test(url.pathname)) ?? [];
    if (method !== request.method) return response.writeHead(404).end();
    const params = Promise.resolve({ ...pattern.exec(url.pathname).groups });
    const answer = await require(path.join(source, file))[method](new Request(url, { method }), { params });
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  })
  .listen(Number(port), "127.0.0.1");
