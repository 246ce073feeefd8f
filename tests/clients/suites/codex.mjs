// Codex, which speaks nothing but the Responses API, with the configuration of the example, and as
// the console says.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PROGRAM = fileURLToPath(new URL("node_modules/.bin/codex", import.meta.url));
const run = promisify(execFile);
// The suite runs in the client's environment, four directories below the root.
const EXAMPLE = readFileSync(new URL("../../../../examples/codex.md", import.meta.url), "utf8");
const CONFIGURATION = EXAMPLE.match(/```toml\n([^]*?)```/)[1].replace(
  "http://127.0.0.1:8000/v1",
  process.env.OPENAI_BASE_URL,
);
const command = (line) => `[[tool exec_command ${JSON.stringify({ cmd: line })}]]`;

async function codex(prompt, configuration = CONFIGURATION, command = PROGRAM) {
  const home = mkdtempSync(join(tmpdir(), "codex-home-"));
  const project = mkdtempSync(join(tmpdir(), "codex-project-"));
  writeFileSync(join(project, "a.txt"), "hello\n");
  const update = "check_for_update_on_startup = false\n";
  writeFileSync(join(home, "config.toml"), update + configuration);
  const options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"];
  // The command may be a line for a shell, in which the program is in the PATH.
  const started = run("sh", ["-c", `${command} "$@"`, "sh", "exec", ...options, "-C", project, prompt], {
    // Nothing but the gateway can be reached.
    env: {
      ...process.env,
      PATH: dirname(PROGRAM) + delimiter + process.env.PATH,
      CODEX_HOME: home,
      HTTPS_PROXY: "http://127.0.0.1:9",
      NO_PROXY: "127.0.0.1",
    },
    timeout: 120_000,
  });
  started.child.stdin.end();
  const { stdout } = await started;
  return { stdout, file: readFileSync(join(project, "a.txt"), "utf8") };
}

test("a task", async () => {
  const edit = `${command("cat a.txt")} ${command("echo changed > a.txt")}`;
  const { stdout, file } = await codex(`${edit} ${command("cat a.txt")} [[result]]`);
  assert.equal(file, "changed\n");
  assert.match(stdout, /changed/);
});

test("an answer", async () => {
  const { stdout } = await codex("[[say Good day.]]");
  assert.equal(stdout.trim(), "Good day.");
});

test("as the console says", async () => {
  const read = (name) => readFileSync(join(process.env.CLIENT_SNIPPETS, name), "utf8");
  const { stdout } = await codex("[[say Good day.]]", read("codex.toml"), read("codex.sh"));
  assert.equal(stdout.trim(), "Good day.");
});
