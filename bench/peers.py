"""Milliseconds per forward of small models: tutti, PyTorch (eager and compiled), ONNX Runtime, OpenVINO; f32, CPU, random weights.

Usage: python peers.py prepare DIR [MODEL...]               DIR/MODEL.onnx, MODEL.pt2, MODEL.inputs.npz (torch, transformers, diffusers, onnxscript)
       python peers.py time DIR MODEL ENGINE THREADS        one process, one JSON line
       python peers.py all DIR RESULTS.jsonl [ROUNDS]       every combination in turn, ROUNDS times (default 1); appends
       python peers.py busy DIR RESULTS.jsonl               tutti at 2 threads alone and beside a loop that keeps core 1 busy
       python peers.py table RESULTS.jsonl                  Markdown: medians, lowest of the rounds; ratios to the best peer
TUTTI names the program (default: ../build/tutti). Every result is compared with eager PyTorch's; err is the largest difference.
"""
import json, math, os, re, subprocess, sys, time
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FIXED = ["flux", "llama", "gpt2", "t5_encoder", "clip_text", "vae_decoder"]
MODELS = FIXED + ["flux_wide", "llama_decode"]
ENGINES = ["tutti", "eager", "compile", "ort", "openvino"]
TUTTI = os.environ.get("TUTTI", os.path.join(HERE, "..", "build", "tutti"))


def build(name):
    import torch
    if name in FIXED:
        sys.path.insert(0, os.path.join(HERE, "..", "tests", "models"))
        import make_models
        m, kw, _ = getattr(make_models, name)(); return m, kw
    g = torch.Generator().manual_seed(0); r = lambda *s: torch.randn(*s, generator=g)
    def init(m):
        with torch.no_grad():
            for n, p in sorted(m.named_parameters()): p.copy_(r(*p.shape) * (p.shape[-1] ** -0.5 if p.dim() > 1 else 0.02) + (1 if p.dim() == 1 and "norm" in n and n.endswith("weight") else 0))
        return m.eval()
    if name == "flux_wide":
        from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
        m = init(FluxTransformer2DModel(in_channels=64, num_layers=1, num_single_layers=2, attention_head_dim=64, num_attention_heads=16, joint_attention_dim=512, pooled_projection_dim=256, guidance_embeds=True, axes_dims_rope=(8, 28, 28)))
        i = torch.zeros(32, 32, 3); i[..., 1] += torch.arange(32)[:, None]; i[..., 2] += torch.arange(32)[None]
        return m, dict(hidden_states=r(1, 1024, 64), encoder_hidden_states=r(1, 128, 512), pooled_projections=r(1, 256), timestep=torch.tensor([0.7]), img_ids=i.reshape(-1, 3), txt_ids=torch.zeros(128, 3), guidance=torch.tensor([3.5]), return_dict=False)
    L, H, N, T, F, V = 4, 1024, 16, 256, 2816, 4096
    class Block(torch.nn.Module):
        def __init__(s):
            super().__init__(); lin = lambda i, o: torch.nn.Linear(i, o, bias=False); s.norm1, s.norm2 = torch.nn.RMSNorm(H, eps=1e-5), torch.nn.RMSNorm(H, eps=1e-5); s.q, s.k, s.v, s.o, s.gate, s.up, s.down = lin(H, H), lin(H, H), lin(H, H), lin(H, H), lin(H, F), lin(H, F), lin(F, H)
        def forward(s, x, pk, pv, cos, sin):
            y = s.norm1(x); q, k, v = (f(y).view(1, 1, N, H // N).transpose(1, 2) for f in (s.q, s.k, s.v))
            rot = lambda u: u * cos + torch.cat([-u[..., H // N // 2:], u[..., :H // N // 2]], -1) * sin
            q, k = rot(q), rot(k); a = torch.nn.functional.scaled_dot_product_attention(q, torch.cat([pk, k], 2), torch.cat([pv, v], 2)); x = x + s.o(a.transpose(1, 2).reshape(1, 1, H)); z = s.norm2(x)
            return x + s.down(torch.nn.functional.silu(s.gate(z)) * s.up(z)), k, v
    class Decode(torch.nn.Module):
        """One token of a llama-like model, width 1024, 4 layers, 16 heads, 2,816 hidden, 4,096 words, over 256 cached tokens; returns logits and the token's K, V."""
        def __init__(s): super().__init__(); s.emb = torch.nn.Embedding(V, H); s.layers = torch.nn.ModuleList(Block() for _ in range(L)); s.norm = torch.nn.RMSNorm(H, eps=1e-5); s.head = torch.nn.Linear(H, V, bias=False)
        def forward(s, token, k, v, cos, sin):
            x = s.emb(token); ks, vs = [], []
            for i, b in enumerate(s.layers): x, nk, nv = b(x, k[i], v[i], cos, sin); ks.append(nk); vs.append(nv)
            return s.head(s.norm(x)), torch.stack(ks), torch.stack(vs)
    a = T / 10000 ** (torch.arange(0, H // N, 2) / (H // N)); a = torch.cat([a, a])
    return init(Decode()), dict(token=torch.tensor([[7]]), k=r(L, 1, N, T, H // N), v=r(L, 1, N, T, H // N), cos=a.cos(), sin=a.sin())


def prepare(d, names):
    import torch
    os.makedirs(d, exist_ok=True)
    for n in names or MODELS:
        m, kw = build(n); t = {k: v for k, v in kw.items() if torch.is_tensor(v)}
        with torch.no_grad():
            torch.export.save(torch.export.export(m, (), kw, strict=False), f"{d}/{n}.pt2")
            p = torch.onnx.export(m, (), kwargs=kw, dynamo=True, opset_version=20, external_data=n in ("flux_wide", "llama_decode"), verbose=False, report=False); p.save(f"{d}/{n}.onnx", external_data=n in ("flux_wide", "llama_decode"))
            y = m(**kw); y = y if torch.is_tensor(y) else y[0]
        np.savez(f"{d}/{n}.inputs.npz", **{k: v.numpy() for k, v in t.items()}); np.save(f"{d}/{n}.out.npy", y.numpy()); print("prepared", n, flush=True)


def runner(d, n, engine, threads):
    ins = dict(np.load(f"{d}/{n}.inputs.npz"))
    if engine in ("eager", "compile"):
        import torch
        torch.set_num_threads(threads); m, kw = build(n)
        if engine == "compile":
            import torch._inductor.config as c; c.freezing = True
            m = torch.compile(m)
        ctx = torch.no_grad(); ctx.__enter__()
        def run(): o = m(**kw); return o if torch.is_tensor(o) else o[0]
        return run, (lambda o: o.numpy()), "torch " + torch.__version__
    if engine == "ort":
        import onnxruntime as ort
        so = ort.SessionOptions(); so.intra_op_num_threads = threads; so.log_severity_level = 3
        s = ort.InferenceSession(f"{d}/{n}.onnx", so, providers=["CPUExecutionProvider"]); names = [i.name for i in s.get_inputs()]; f = {k: ins[k] for k in names}
        return (lambda: s.run(None, f)[0]), (lambda o: o), "onnxruntime " + ort.__version__
    import openvino as ov
    c = ov.Core().compile_model(f"{d}/{n}.onnx", "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}); q = c.create_infer_request(); f = {i.get_any_name(): ins[i.get_any_name()] for i in c.inputs}
    return (lambda: q.infer(f, share_inputs=True, share_outputs=True)[c.outputs[0]]), (lambda o: np.asarray(o)), "openvino " + ov.__version__.split("-")[0]


def seconds(n): return 6 if n == "flux_wide" else 2.5


def time_tutti(d, n, threads):
    """One run to learn the time of one, then as many as the others get; the loop is inside of the program."""
    expected = f"{d}/{n}.out.npy"
    if n in ("clip_text", "llama_decode"):    # the first of several outputs, by name
        np.savez(f"{d}/{n}.out.npz", **{"out.0": np.load(expected)}); expected = f"{d}/{n}.out.npz"
    def go(count):
        t = time.perf_counter()
        r = subprocess.run([TUTTI, "run", f"{d}/{n}.pt2", "--input", f"{d}/{n}.inputs.npz", "--expect", expected, "--num-threads", str(threads), "--repeat", str(count)], capture_output=True, text=True)
        m = re.search(r"(\d+) runs: min ([\d.]+) ms, median ([\d.]+) ms", r.stdout)
        if r.returncode or not m: raise SystemExit(f"{n}: {r.stdout[-300:]} {r.stderr[-300:]}")
        return float(m[2]), float(m[3]), r.stdout, time.perf_counter() - t
    count = max(8, int(seconds(n) * 1e3 / go(8)[0])); low, median, text, _ = go(count)
    err = max(float(l.split()[-3]) for l in text.splitlines() if l.endswith(" ok"))
    return dict(model=n, engine="tutti", threads=threads, median_ms=median, min_ms=low, runs=count, err=err, load=os.getloadavg()[0])


def time_one(d, n, engine, threads):
    if engine == "tutti": return print(json.dumps(time_tutti(d, n, threads)))
    t0 = time.perf_counter(); run, arr, ver = runner(d, n, engine, threads); t1 = time.perf_counter(); o = run(); t2 = time.perf_counter()
    ref = np.load(f"{d}/{n}.out.npy"); err = float(np.abs(arr(o) - ref).max())
    for _ in range(3): run()
    ts = []; end = time.perf_counter() + seconds(n)
    while time.perf_counter() < end or len(ts) < 8: a = time.perf_counter(); run(); ts.append((time.perf_counter() - a) * 1e3)
    print(json.dumps(dict(model=n, engine=engine, threads=threads, median_ms=float(np.median(ts)), min_ms=min(ts), runs=len(ts), build_s=round(t1 - t0, 3), first_s=round(t2 - t1, 3), err=err, version=ver, load=os.getloadavg()[0])))


def every(d, results, rounds):
    for _ in range(rounds):
        for t in (1, 2):
            for n in MODELS:
                for e in ENGINES:
                    r = subprocess.run([sys.executable, "-W", "ignore", __file__, "time", d, n, e, str(t)], capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS=str(t)))
                    line = next((l for l in r.stdout.splitlines() if l.startswith("{")), None); print(line or ("FAILED " + n + " " + e + " " + r.stderr[-300:]), flush=True)
                    if line: open(results, "a").write(line + "\n")


def busy(d, results):
    for n in MODELS:
        quiet = time_tutti(d, n, 2)
        loop = subprocess.Popen(["taskset", "-c", "1", sys.executable, "-c", "while True: pass"])
        try: beside = time_tutti(d, n, 2)
        finally: loop.kill()
        line = json.dumps(dict(model=n, engine="tutti", threads=2, quiet_ms=quiet["median_ms"], busy_ms=beside["median_ms"], ratio=round(beside["median_ms"] / quiet["median_ms"], 3)))
        print(line, flush=True); open(results, "a").write(line + "\n")


def table(f):
    rows = [json.loads(l) for l in open(f) if l.startswith("{") and "median_ms" in l]
    show = lambda x: f"{x:.0f}" if x >= 100 else f"{x:.3g}"
    for t in (1, 2):
        print(f"\n{t} thread{'s' if t > 1 else ''}: median ms per forward, lowest of the rounds\n\n| model | " + " | ".join(ENGINES) + " | best peer / tutti |\n|---" + "|---" * (len(ENGINES) + 1) + "|")
        ratios = []
        for n in MODELS:
            best = {e: min((r["median_ms"] for r in rows if (r["model"], r["engine"], r["threads"]) == (n, e, t)), default=None) for e in ENGINES}
            peers = [v for e, v in best.items() if e != "tutti" and v]
            if best["tutti"] and peers: ratios.append(min(peers) / best["tutti"])
            print(f"| {n} | " + " | ".join(show(v) if v else "-" for v in best.values()) + f" | {ratios[-1]:.2f} |")
        print(f"\nGeometric mean {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}, lowest {min(ratios):.2f}.")


if __name__ == "__main__":
    a = sys.argv
    if a[1] == "prepare": prepare(a[2], a[3:])
    elif a[1] == "time": time_one(a[2], a[3], a[4], int(a[5]))
    elif a[1] == "all": every(a[2], a[3], int(a[4]) if len(a) > 4 else 1)
    elif a[1] == "busy": busy(a[2], a[3])
    elif a[1] == "table": table(a[2])
    else: sys.exit(__doc__)
