// Codex, which speaks nothing but the Responses API, doing a small task.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PROGRAM = fileURLToPath(new URL("node_modules/.bin/codex", import.meta.url));
const run = promisify(execFile);
const command = (line) => `[[tool exec_command ${JSON.stringify({ cmd: line })}]]`;

async function codex(prompt) {
  const home = mkdtempSync(join(tmpdir(), "codex-home-"));
  const project = mkdtempSync(join(tmpdir(), "codex-project-"));
  writeFileSync(join(project, "a.txt"), "hello\n");
  writeFileSync(
    join(home, "config.toml"),
    `model = "${process.env.CLIENT_MODEL}"
model_provider = "gateway"
check_for_update_on_startup = false

[model_providers.gateway]
name = "claude-code-gateway"
base_url = "${process.env.OPENAI_BASE_URL}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
`,
  );
  const options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"];
  const started = run(PROGRAM, ["exec", ...options, "-C", project, prompt], {
    // Nothing but the gateway can be reached.
    env: {
      ...process.env,
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
