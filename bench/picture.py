"""Seconds and peak memory of a picture of the small FLUX (20 steps and decoding, 2 threads): diffusers eager beside tutti, in turn.

Usage: python picture.py [ROUNDS]        (torch, diffusers; build/examples/flux_tiny must exist)
"""
import json, os, re, resource, subprocess, sys, time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MODEL, PROGRAM = f"{ROOT}/tests/models/flux_tiny", f"{ROOT}/build/examples/flux_tiny"


def diffusers_picture():
    import torch
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from safetensors.torch import load_file
    torch.set_num_threads(2); torch.set_grad_enabled(False)
    transformer = FluxTransformer2DModel.from_pretrained(f"{MODEL}/model/transformer", torch_dtype=torch.float32).eval()
    vae = AutoencoderKL.from_pretrained(f"{MODEL}/model/vae", torch_dtype=torch.float32).eval()
    s = load_file(f"{MODEL}/reference/fuji.safetensors"); f = lambda k: s[k].float()
    fixed = dict(guidance=f("guidance"), pooled_projections=f("clip_pooled"), encoder_hidden_states=f("t5_embeds"), txt_ids=f("text_ids"), img_ids=f("image_ids"), return_dict=False)
    def draw():
        x, start = f("noise"), time.perf_counter()
        for i in range(20): x = x + (s["sigmas"][i + 1] - s["sigmas"][i]) * transformer(hidden_states=x, timestep=s["timesteps"][i:i + 1].float() / 1000, **fixed)[0]
        z = x.view(1, 32, 32, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(1, 16, 64, 64)
        image = vae.decode(z / vae.config.scaling_factor + vae.config.shift_factor, return_dict=False)[0]
        return time.perf_counter() - start, float((image - f("image")).abs().max())
    draw()                                      # warm
    seconds, error = draw()
    print(json.dumps(dict(engine="diffusers", seconds=seconds, error=error, peak_MiB=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))


def tutti_picture():
    pid = subprocess.Popen([PROGRAM, MODEL, f"{ROOT}/build/bench_picture.png"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    text = pid.stdout.read(); _, status, usage = os.wait4(pid.pid, 0)
    m = re.search(r"in ([\d.]+) s; largest difference from the stored picture: (\d+)", text)
    return dict(engine="tutti", seconds=float(m[1]), levels=int(m[2]), peak_MiB=usage.ru_maxrss / 1024)


if __name__ == "__main__":
    if sys.argv[1:] == ["diffusers"]: diffusers_picture()
    else:
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
            print(json.dumps(tutti_picture()), flush=True)
            print(subprocess.run([sys.executable, "-W", "ignore", __file__, "diffusers"], capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="2")).stdout.strip(), flush=True)
