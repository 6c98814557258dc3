"""Exports the small models of this folder as .pt2, with their inputs and PyTorch's outputs as safetensors.

Usage: python make_models.py OUTDIR NAME...   (NAME: see MODELS; 'all' for all)
OUTDIR/NAME.pt2, NAME.inputs.safetensors, NAME.outputs.safetensors and NAME.json; weights are random, source traces are left out.
"""
import json, os, sys, traceback
import torch
from safetensors.torch import save_file


def rnd(*s, seed=1, dtype=torch.float32):
    return torch.randn(*s, generator=torch.Generator().manual_seed(seed)).to(dtype)


def init(m, std=0.05):
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for n, p in sorted(m.named_parameters()):
            if p.dim() > 1: p.copy_(torch.randn(p.shape, generator=g) * (1.0 / p.shape[-1] ** 0.5 if p.dim() == 2 else std))
            elif "norm" in n and n.endswith("weight"): p.copy_(1 + 0.1 * torch.randn(p.shape, generator=g))
            else: p.copy_(0.02 * torch.randn(p.shape, generator=g))
    return m.eval()


def flux():
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
    m = init(FluxTransformer2DModel(in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=32, num_attention_heads=4,
        joint_attention_dim=64, pooled_projection_dim=48, guidance_embeds=True, axes_dims_rope=(4, 14, 14)))
    h, w, t = 8, 8, 24
    ids = torch.zeros(h, w, 3); ids[..., 1] += torch.arange(h)[:, None]; ids[..., 2] += torch.arange(w)[None]
    return m, dict(hidden_states=rnd(1, h * w, 16), encoder_hidden_states=rnd(1, t, 64, seed=2), pooled_projections=rnd(1, 48, seed=3),
        timestep=torch.tensor([0.7]), img_ids=ids.reshape(-1, 3), txt_ids=torch.zeros(t, 3), guidance=torch.tensor([3.5]), return_dict=False), None


def flux_uneven():
    """Nothing divides: 3 heads, 63 image tokens, 25 text tokens."""
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
    m = init(FluxTransformer2DModel(in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=3,
        joint_attention_dim=40, pooled_projection_dim=24, guidance_embeds=True, axes_dims_rope=(4, 6, 6)))
    h, w, t = 7, 9, 25
    ids = torch.zeros(h, w, 3); ids[..., 1] += torch.arange(h)[:, None]; ids[..., 2] += torch.arange(w)[None]
    return m, dict(hidden_states=rnd(1, h * w, 16), encoder_hidden_states=rnd(1, t, 40, seed=2), pooled_projections=rnd(1, 24, seed=3),
        timestep=torch.tensor([0.7]), img_ids=ids.reshape(-1, 3), txt_ids=torch.zeros(t, 3), guidance=torch.tensor([3.5]), return_dict=False), None


def flux_bf16():
    m, kw, d = flux()
    return m.to(torch.bfloat16), {k: v.to(torch.bfloat16) if torch.is_tensor(v) and k not in ("guidance", "img_ids", "txt_ids") else v for k, v in kw.items()}, d


def flux_dev_graph():
    """The true FLUX.1-dev at 1024 x 1024 without weights: every parameter is meta, only the graph is of use."""
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
    with torch.device("meta"):
        m = FluxTransformer2DModel(guidance_embeds=True).to(torch.bfloat16).eval()
        kw = dict(hidden_states=torch.zeros(1, 4096, 64, dtype=torch.bfloat16), encoder_hidden_states=torch.zeros(1, 512, 4096, dtype=torch.bfloat16), pooled_projections=torch.zeros(1, 768, dtype=torch.bfloat16),
            timestep=torch.zeros(1, dtype=torch.bfloat16), img_ids=torch.zeros(4096, 3, dtype=torch.bfloat16), txt_ids=torch.zeros(512, 3, dtype=torch.bfloat16), guidance=torch.zeros(1), return_dict=False)
    return m, kw, "meta"


def causal(cls, cfg, seq=12):
    from torch.export import Dim
    m = init(cls(cfg)); m.config.use_cache = False
    ids = torch.randint(0, cfg.vocab_size, (2, seq), generator=torch.Generator().manual_seed(5))

    class W(torch.nn.Module):
        def __init__(s): super().__init__(); s.m = m
        def forward(s, input_ids): return s.m(input_ids=input_ids, use_cache=False).logits
    return W().eval(), dict(input_ids=ids), dict(input_ids={1: Dim.AUTO})


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM
    return causal(LlamaForCausalLM, LlamaConfig(hidden_size=96, intermediate_size=256, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, vocab_size=128, max_position_embeddings=128))
def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel
    return causal(GPT2LMHeadModel, GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=128, n_positions=128))
def t5_encoder():
    from transformers import T5Config, T5EncoderModel
    m = init(T5EncoderModel(T5Config(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, vocab_size=128, feed_forward_proj="gated-gelu")))
    class W(torch.nn.Module):
        def __init__(s): super().__init__(); s.m = m
        def forward(s, input_ids): return s.m(input_ids=input_ids).last_hidden_state
    return W().eval(), dict(input_ids=torch.randint(0, 128, (1, 24), generator=torch.Generator().manual_seed(5))), None
def clip_text():
    from transformers import CLIPTextConfig, CLIPTextModel
    m = init(CLIPTextModel(CLIPTextConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, vocab_size=128, max_position_embeddings=32, eos_token_id=127)))
    class W(torch.nn.Module):
        def __init__(s): super().__init__(); s.m = m
        def forward(s, input_ids):
            o = s.m(input_ids=input_ids); return o.last_hidden_state, o.pooler_output
    ids = torch.randint(0, 126, (1, 20), generator=torch.Generator().manual_seed(5)); ids[0, 9:] = 127
    return W().eval(), dict(input_ids=ids), None
def vae_decoder():
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    m = init(AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, block_out_channels=[32, 64], layers_per_block=1, latent_channels=16, norm_num_groups=16, use_quant_conv=False, use_post_quant_conv=False))
    class W(torch.nn.Module):
        def __init__(s): super().__init__(); s.m = m
        def forward(s, z): return s.m.decode(z, return_dict=False)[0]
    return W().eval(), dict(z=rnd(1, 16, 8, 8)), None
MODELS = dict(all=[flux, flux_uneven, flux_bf16, flux_dev_graph, llama, gpt2, t5_encoder, clip_text, vae_decoder])


def flat(x, out, pre="out"):
    if torch.is_tensor(x): out[pre] = x.detach().contiguous().clone()
    elif isinstance(x, (list, tuple)):
        for i, y in enumerate(x): flat(y, out, f"{pre}.{i}")
    elif isinstance(x, dict):
        for k, y in x.items(): flat(y, out, f"{pre}.{k}")


def main():
    out = sys.argv[1]; os.makedirs(out, exist_ok=True)
    names = [f.__name__ for a in sys.argv[2:] for f in MODELS.get(a, [])] or sys.argv[2:]
    fns = {f.__name__: f for g in MODELS.values() for f in g}
    for n in names:
        try:
            m, kw, dyn = fns[n]()
            with torch.no_grad():
                meta = dyn == "meta"
                ref = [] if meta else m(**kw)
                if meta: dyn = None
                if dyn: dyn = {k: dyn.get(k) for k in kw}
                ep = torch.export.export(m, (), kw, dynamic_shapes=dyn, strict=False)
            for mod in ep.graph_module.modules():
                if hasattr(mod, "graph"):
                    for node in mod.graph.nodes:
                        for k in ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn"): node.meta.pop(k, None)
            torch.export.save(ep, f"{out}/{n}.pt2")
            ti = {} if meta else {k: v.contiguous() for k, v in kw.items() if torch.is_tensor(v)}
            to = {}; flat(ref, to)
            save_file(ti, f"{out}/{n}.inputs.safetensors"); save_file(to, f"{out}/{n}.outputs.safetensors")
            ops = {}
            for node in ep.graph.nodes:
                if node.op == "call_function": ops[str(node.target)] = ops.get(str(node.target), 0) + 1
            json.dump(dict(torch=torch.__version__, nodes=len(ep.graph.nodes), ops=dict(sorted(ops.items(), key=lambda t: -t[1])),
                inputs={k: [str(v.dtype), list(v.shape)] for k, v in ti.items()}, outputs={k: [str(v.dtype), list(v.shape)] for k, v in to.items()}), open(f"{out}/{n}.json", "w"), indent=1)
            print("ok", n, len(ep.graph.nodes), "nodes", os.path.getsize(f"{out}/{n}.pt2"), "bytes", {k: float(v.float().std()) for k, v in to.items()})
        except Exception as e:
            print("FAILED", n, type(e).__name__, str(e)[:300].replace("\n", " ")); traceback.print_exc(limit=3)


if __name__ == "__main__": main()
