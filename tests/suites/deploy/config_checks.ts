/** `deno task test:deploy`: checks the files in `deploy/` with the programs that read them. */

import assert from "node:assert/strict";
import { parseKeyVariable } from "../../../src/access/key_list.ts";
import { chatBody, startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";
import { debian, mustRun, python, ROOT, run, WORK, yaml } from "./tools.ts";
import { SETTINGS } from "../../../src/settings/settings.ts";

const KUBERNETES = "deploy/kubernetes";

interface Container {
  env: {
    name: string;
    value?: string;
    valueFrom?: { secretKeyRef: { name: string; key: string; optional?: boolean } };
  }[];
  livenessProbe: { httpGet: { path: string } };
  readinessProbe: { httpGet: { path: string } };
  lifecycle: { preStop: { sleep: { seconds: number } } };
  securityContext: Record<string, unknown>;
  resources: { limits: Record<string, unknown> };
}

interface Manifest {
  kind: string;
  metadata: { name: string };
  stringData: Record<string, string>;
  spec: {
    selector: Record<string, unknown>;
    template: {
      metadata: { labels: Record<string, string> };
      spec: {
        terminationGracePeriodSeconds: number;
        securityContext: Record<string, unknown>;
        containers: Container[];
      };
    };
  };
}

async function manifests(): Promise<Manifest[]> {
  const [kustomization] = await yaml(`${KUBERNETES}/kustomization.yaml`) as [
    { resources: string[] },
  ];
  const lists = kustomization.resources.map((file) => yaml(`${KUBERNETES}/${file}`));
  return (await Promise.all(lists)).flat() as Manifest[];
}

async function withWorker(body: (worker: WorkerProcess) => Promise<void>): Promise<void> {
  await using worker = await startWorkerProcess(":memory:", { device: "cpu" });
  await body(worker);
}

Deno.test("hadolint and shellcheck report nothing", async () => {
  await mustRun(await python("hadolint"), ["deploy/Dockerfile"]);
  await mustRun(await debian("shellcheck"), ["deploy/start.sh", ".ci/run"]);
});

for (const gpu of [null, "nvidia", "dri"]) {
  Deno.test(`docker compose accepts its files, ${gpu ? `with ${gpu}` : "without a GPU"}`, async () => {
    const files = ["compose.yaml", ...(gpu ? [`compose.${gpu}.yaml`] : [])];
    const args = files.flatMap((file) => ["-f", `deploy/${file}`]);
    const { services, secrets } = JSON.parse(
      await mustRun(
        await python("docker-compose"),
        ["--env-file", "deploy/example.env", ...args, "config", "--format", "json"],
        { env: { RENDER_GROUP: "105" } },
      ),
    );
    const { worker, denokv, balancer, prometheus, grafana } = services;
    assert.equal(worker.deploy.replicas, 3);
    assert.equal(worker.environment.RWKV_KV, "http://denokv:4512");
    assert.equal(worker.environment.DENO_KV_ACCESS_TOKEN, denokv.environment.DENO_KV_ACCESS_TOKEN);
    // Workers have API keys, and Prometheus has the metrics token.
    assert.match(worker.environment.RWKV_API_KEYS, /^\w+:.{16,}$/);
    assert.deepEqual(prometheus.secrets.map(({ source }: { source: string }) => source), [
      "metrics_token",
    ]);
    assert.equal(secrets.metrics_token.environment, "RWKV_METRICS_TOKEN");
    assert.ok(worker.environment.RWKV_METRICS_TOKEN);
    // The time after the grace period is for storing states and sending responses.
    assert.equal(worker.stop_grace_period, "30s");
    assert.ok(30 >= Number(worker.environment.RWKV_GRACE) + 5);
    // Every bind mount has an existing source.
    const bound = [worker, balancer, prometheus, grafana].flatMap(({ volumes }) => volumes)
      .filter(({ type }) => type === "bind");
    assert.ok(bound.length >= 5);
    for (const { source } of bound) await Deno.stat(source);
    assert.equal(worker.read_only, true);
    assert.equal(gpu === "nvidia", worker.runtime === "nvidia");
    assert.equal(gpu === "dri", worker.devices !== undefined);
  });
}

Deno.test("docker compose requires a token", async () => {
  const { stdout, text } = await run(
    await python("docker-compose"),
    ["--env-file", "/dev/null", "-f", "deploy/compose.yaml", "config"],
  );
  // This implementation of compose always exits with status 0.
  assert.equal(stdout, "");
  assert.match(text, /copy deploy\/example\.env to deploy\/\.env/);
});

Deno.test("all manifests match the Kubernetes schemas", async () => {
  const files = [...Deno.readDirSync(`${ROOT}${KUBERNETES}`)].map(({ name }) => name)
    .filter((name) => name !== "kustomization.yaml").sort();
  const [{ resources }] = await yaml(`${KUBERNETES}/kustomization.yaml`) as [
    { resources: string[] },
  ];
  assert.deepEqual([...resources].sort(), files);
  const validate = await python("kubernetes-validate");
  const paths = files.map((file) => `${KUBERNETES}/${file}`);
  await mustRun(validate, ["--strict", ...paths]);
  // The validator does report an unknown field.
  const input = (await Deno.readTextFile(`${ROOT}${KUBERNETES}/deployment.yaml`))
    .replace("terminationGracePeriodSeconds", "terminationGraceSeconds");
  await Deno.writeTextFile(`${WORK}/wrong.yaml`, input);
  assert.notEqual((await run(validate, ["--strict", `${WORK}/wrong.yaml`])).code, 0);
});

Deno.test("the Deployment matches the worker: probes, grace period, labels, user", async () => {
  const all = await manifests();
  const { spec } = all.find(({ kind }) => kind === "Deployment")!;
  const { metadata: { labels }, spec: pod } = spec.template;
  const [worker] = pod.containers;
  await withWorker(async ({ url }) => {
    for (const probe of [worker.livenessProbe, worker.readinessProbe]) {
      const response = await fetch(url + probe.httpGet.path);
      await response.body?.cancel();
      assert.equal(response.status, 200);
    }
  });
  // Every referenced Secret exists, and the example API keys are valid.
  const secrets = new Map(
    all.filter(({ kind }) => kind === "Secret")
      .map(({ metadata, stringData }) => [metadata.name, stringData]),
  );
  const secret = Object.fromEntries(worker.env.flatMap(({ name, valueFrom }) => {
    if (!valueFrom) return [];
    const { name: from, key, optional } = valueFrom.secretKeyRef;
    if (optional) return [];
    assert.ok(secrets.get(from)?.[key], `${name} of ${from}`);
    return [[name, secrets.get(from)![key]]];
  }));
  assert.deepEqual(Object.keys(secret).sort(), [
    "DENO_KV_ACCESS_TOKEN",
    "RWKV_API_KEYS",
    "RWKV_METRICS_TOKEN",
  ]);
  assert.equal((await parseKeyVariable(secret.RWKV_API_KEYS, "api-keys")).length, 1);
  const grace = Number(
    worker.env.find(({ name }) => name === "RWKV_GRACE")?.value ?? SETTINGS.grace.defaultValue,
  );
  const { seconds } = worker.lifecycle.preStop.sleep;
  assert.ok(pod.terminationGracePeriodSeconds >= seconds + grace + 5);
  const dockerfile = await Deno.readTextFile(`${ROOT}deploy/Dockerfile`);
  const user = Number(dockerfile.match(/^USER (\d+)/m)?.[1]);
  assert.deepEqual(
    [pod.securityContext.runAsUser, pod.securityContext.fsGroup, pod.securityContext.runAsNonRoot],
    [user, user, true],
  );
  assert.deepEqual(worker.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  assert.equal(worker.resources.limits["nvidia.com/gpu"], 1);
  for (const kind of ["Service", "PodDisruptionBudget"]) {
    const found = all.find((one) => one.kind === kind && one.metadata.name === "worker")!;
    const { matchLabels = found.spec.selector } = found.spec.selector;
    assert.deepEqual(matchLabels, labels, kind);
  }
});

Deno.test("systemd accepts the unit and rates its exposure as low", async () => {
  const unit = await Deno.readTextFile(`${ROOT}deploy/rwkv-edge.service`);
  const path = `${WORK}/rwkv-edge.service`;
  // Use the start script of this checkout.
  await Deno.writeTextFile(path, unit.replaceAll("=/opt/rwkv-edge/", `=${ROOT}`));
  const analyze = await debian("systemd-analyze");
  const { code, text } = await run(analyze, ["verify", path]);
  assert.equal(`${code} ${text}`, "0 ");
  await mustRun(analyze, ["security", "--offline=yes", "--threshold=25", path]);
  const grace = Number(unit.match(/RWKV_GRACE=(\d+)/)?.[1]);
  assert.ok(Number(unit.match(/^TimeoutStopSec=(\d+)/m)?.[1]) >= grace + 5);
});

/** Returns every metric name in the rules and the dashboard. */
async function queriedMetrics(): Promise<string[]> {
  const files = ["prometheus/rules.yml", "grafana/dashboards/rwkv-edge.json"];
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(`${ROOT}deploy/${file}`)));
  const names = texts.join("\n").matchAll(/\b(?:rwkv:|process_)[a-z0-9_]+/g);
  return [...new Set([...names].map(([name]) => name))];
}

Deno.test("promtool accepts /metrics, which has every metric in the rules and the dashboard", async () => {
  await withWorker(async ({ url }) => {
    const body = JSON.stringify(chatBody("Hi!", { maxTokens: 4 }));
    await (await fetch(`${url}/v1/chat/completions`, { method: "POST", body })).text();
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const { text } = await run(await debian("promtool"), ["check", "metrics"], { input: metrics });
    // promtool only reports the colon in the names, which vLLM uses too.
    const found = text.split("\n").filter((line) => line !== "" && !/contain ':'$/.test(line));
    assert.deepEqual(found, []);
    const exposed = new Set([...metrics.matchAll(/^[a-z][a-z0-9_:]+/gm)].map(([name]) => name));
    const queried = await queriedMetrics();
    assert.ok(queried.length > 20);
    // Labelled metrics appear with their first event.
    const late = ["rwkv:state_load_seconds_bucket"];
    assert.deepEqual(queried.filter((name) => !exposed.has(name) && !late.includes(name)), []);
  });
});

Deno.test("promtool accepts the configuration and the rules, and each alert fires in time", async () => {
  const promtool = await debian("promtool");
  // Use local paths for the token that compose mounts and for the rules.
  const text = await Deno.readTextFile(`${ROOT}deploy/prometheus/prometheus.yml`);
  const config = text.replace("/run/secrets/metrics_token", "token");
  assert.notEqual(config, text);
  await Deno.writeTextFile(`${WORK}/prometheus.yml`, config);
  await Deno.writeTextFile(`${WORK}/token`, "secret");
  await Deno.copyFile(`${ROOT}deploy/prometheus/rules.yml`, `${WORK}/rules.yml`);
  await mustRun(promtool, ["check", "config", `${WORK}/prometheus.yml`]);
  await mustRun(promtool, ["test", "rules", "tests/suites/deploy/rules_test.yml"]);
  const names = (path: string, key: string) =>
    Deno.readTextFile(ROOT + path).then((text) =>
      new Set([...text.matchAll(new RegExp(`${key}(\\w+)`, "g"))].map(([, name]) => name))
    );
  assert.deepEqual(
    await names("tests/suites/deploy/rules_test.yml", 'alertname="'),
    await names("deploy/prometheus/rules.yml", "alert: "),
  );
});

Deno.test("the dashboard has valid queries and no overlapping panels", async () => {
  interface Panel {
    id: number;
    title: string;
    gridPos: { x: number; y: number; w: number; h: number };
    datasource: { uid: string };
    targets: { expr: string }[];
  }
  const path = `${ROOT}deploy/grafana/dashboards/rwkv-edge.json`;
  const { panels }: { panels: Panel[] } = JSON.parse(await Deno.readTextFile(path));
  const [source] = await yaml("deploy/grafana/provisioning/datasources/prometheus.yaml") as [
    { datasources: { uid: string }[] },
  ];
  const rules = panels.flatMap(({ targets }) => targets).map(({ expr }) => ({
    record: "x",
    expr: expr.replaceAll("$instance", ".*"),
  }));
  await Deno.writeTextFile(
    `${WORK}/queries.yml`,
    JSON.stringify({ groups: rules.map((rule, i) => ({ name: `${i}`, rules: [rule] })) }),
  );
  await mustRun(await debian("promtool"), ["check", "rules", `${WORK}/queries.yml`]);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const cells = new Set<string>();
  for (const { title, datasource, gridPos: { x, y, w, h } } of panels) {
    assert.equal(datasource.uid, source.datasources[0].uid, title);
    assert.ok(x + w <= 24, title);
    for (let i = 0; i < w * h; i++) {
      const cell = `${x + i % w},${y + Math.floor(i / w)}`;
      assert.ok(!cells.has(cell), `${title} overlaps another panel`);
      cells.add(cell);
    }
  }
});

/** Runs nginx with the balancer's configuration, adapted to a local port and a local worker. */
async function withBalancer(
  workers: string,
  body: (url: string) => Promise<void>,
): Promise<void> {
  const nginx = await debian("nginx");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const folder = await Deno.makeTempDir();
  const text = (await Deno.readTextFile(`${ROOT}deploy/nginx.conf`))
    .replace("listen 8080", `listen 127.0.0.1:${port}`)
    .replace("http://worker:8000", workers)
    .replaceAll(" /tmp/", ` ${folder}/`);
  await Deno.writeTextFile(`${folder}/nginx.conf`, text);
  const args = ["-c", `${folder}/nginx.conf`, "-g", "daemon off;"];
  const child = new Deno.Command(nginx, { args, stdout: "null", stderr: "null" }).spawn();
  try {
    const url = `http://127.0.0.1:${port}`;
    for (let i = 0; i < 200; i++) {
      const answer = await fetch(`${url}/metrics`).catch(() => null);
      await answer?.body?.cancel();
      if (answer) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await body(url);
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("nginx accepts the configuration, does not buffer streams, and hides /metrics", async () => {
  await mustRun(await debian("nginx"), ["-t", "-c", `${ROOT}deploy/nginx.conf`]);
  await withWorker((worker) =>
    withBalancer(worker.url, async (url) => {
      const outside = await fetch(`${url}/metrics`);
      await outside.body?.cancel();
      assert.equal(outside.status, 404);
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify(chatBody("Tell me a story about a dragon.", { stream: true })),
      });
      assert.ok(response.headers.get("x-state-id"));
      let pieces = 0;
      let text = "";
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        pieces++;
        text += piece;
        if (pieces > 1) continue;
        // The first text arrives while the turn is still running.
        const metrics = await (await fetch(`${worker.url}/metrics`)).text();
        assert.match(metrics, /^rwkv:num_requests_running 1$/m);
      }
      assert.match(text, /data: \[DONE\]/);
      assert.ok(pieces > 3, `${pieces} pieces`);
    })
  );
});

Deno.test("all versions match, and the image has the Deno version of the tests", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const compose = await Deno.readTextFile(`${ROOT}deploy/compose.yaml`);
  assert.equal(compose.match(/image: rwkv-edge:(\S+)/)?.[1], version);
  const [{ images }] = await yaml(`${KUBERNETES}/kustomization.yaml`) as [
    { images: { newTag: string }[] },
  ];
  assert.equal(images[0].newTag, version);
  const dockerfile = await Deno.readTextFile(`${ROOT}deploy/Dockerfile`);
  const deno = dockerfile.match(/^ARG DENO=(\d+)\.(\d+)\.\d+$/m)!;
  assert.deepEqual(deno.slice(1), Deno.version.deno.split(".").slice(0, 2));
});

Deno.test("the GitHub workflow runs .ci/run", async () => {
  const [{ jobs }] = await yaml(".github/workflows/ci.yml") as [
    { jobs: Record<string, { steps: { run?: string }[] }> },
  ];
  assert.deepEqual(jobs.gate.steps.map(({ run }) => run).filter(Boolean), ["bash .ci/run"]);
});
