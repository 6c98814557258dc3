"""Exports the forms of collectives that the other models lack, rank by rank, with the outputs of a true run over Gloo.

Usage: python make_collective_forms.py OUTDIR
OUTDIR/collective_forms.rank{0,1}of2.pt2, .inputs.safetensors, .outputs.safetensors; collective_forms.json says the groups
and the calls. Group "0" is both ranks. The extent of x is symbolic; y and i are not.
Made with torch 2.15.0.
"""
import json, os, sys
import torch, torch.distributed as dist, torch.multiprocessing as mp
import torch.distributed._functional_collectives
from safetensors.torch import save_file

c, autograd, legacy = torch.ops._c10d_functional, torch.ops._c10d_functional_autograd, torch.ops.c10d_functional
wait = c.wait_tensor
WORLD = 2


class Forms(torch.nn.Module):
    def __init__(s, group):
        super().__init__()
        s.group = group
        s.register_buffer("total", torch.zeros(4, 6))

    def forward(s, x, y, i):
        g = s.group
        out = [wait(c.all_gather_into_tensor(x, WORLD, g))]                                        # a symbolic axis
        out.append(wait(c.all_gather_into_tensor(x.transpose(0, 1).contiguous(), WORLD, g)).transpose(0, 1))
        out.append(wait(c.all_reduce(y, "product", g)))
        out.append(wait(c.all_reduce(i, "min", g)))
        out.append(wait(c.all_reduce(y, "avg", g)))
        z = y + 1
        out.append(wait(c.all_reduce_(z, "max", g)) - z)                                           # written in place: zeros
        out.append(z)
        z = y * 2
        wait(c.broadcast_(z, 1, g))
        out.append(z)
        s.total.add_(wait(c.all_reduce(y, "sum", g)))                                              # a buffer
        c.all_reduce_(s.total, "sum", g)
        wait(s.total)
        a, b = y + 3, y.t() * 2
        out += [t.clone() for t in map(wait, c.all_reduce_coalesced_([a, b], "sum", g))]
        out += [a + 0, b + 0]
        out += map(wait, c.all_gather_into_tensor_coalesced([y, x[:2]], WORLD, g))
        out += map(wait, c.reduce_scatter_tensor_coalesced([y, y.t().contiguous()], "sum", WORLD, g))
        out.append(wait(c.reduce_scatter_tensor(i, "max", WORLD, g)))
        into = torch.empty(8, 6)
        out.append(wait(c.all_gather_into_tensor_out(y, WORLD, g, out=into)))
        out.append(into * 1)
        into = torch.empty(2, 6)
        wait(c.reduce_scatter_tensor_out(y, "sum", WORLD, g, out=into))
        out.append(into * 1)
        out.append(wait(autograd.all_gather_into_tensor(y, WORLD, g)))
        out.append(wait(autograd.reduce_scatter_tensor(y, "sum", WORLD, g)))
        out.append(wait(autograd.all_to_all_single(y, [2, 2], [2, 2], g)))
        half = [x.shape[0] // 2] * 2
        out.append(wait(c.all_to_all_single(x, half, half, g)))                                    # symbolic blocks
        out.append(legacy.wait_tensor(legacy.all_reduce(y, "max", "", [1, 0], WORLD)))
        out.append(legacy.wait_tensor(legacy.all_gather_into_tensor(y, "", [0, 1], WORLD)))
        out.append(legacy.wait_tensor(legacy.all_to_all_single(y, None, None, "", [0, 1], WORLD)))
        sends, receives = [([1, 3], [1, 4]), ([4, 0], [3, 0])][dist.get_rank()]
        out.append(wait(c.all_to_all_single(y, receives, sends, g)))
        out.append(y * 0 + s.total)
        return out


def worker(r, out, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=r, world_size=WORLD)
    group = dist.distributed_c10d._get_default_group().group_name
    g = torch.Generator().manual_seed(5 + r)
    args = (torch.randn(6, 3, generator=g), torch.randn(4, 6, generator=g), torch.randint(-9, 9, (4, 6), generator=g))
    name = f"{out}/collective_forms.rank{r}of{WORLD}"
    with torch.no_grad():
        rows = 2 * torch.export.Dim("half_rows", min=1, max=32)
        ep = torch.export.export(Forms(group), args, dynamic_shapes=({0: rows}, {}, {}), strict=False)
        got = Forms(group)(*args)
    for node in ep.graph.nodes:
        for k in ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn"): node.meta.pop(k, None)
    torch.export.save(ep, name + ".pt2")
    save_file({k: v.contiguous() for k, v in zip("xyi", args)}, name + ".inputs.safetensors")
    save_file({f"out.{k}": v.contiguous().clone() for k, v in enumerate(got)}, name + ".outputs.safetensors")
    if r == 0:
        calls = [str(n.target) for n in ep.graph.nodes if n.op == "call_function" and "c10d" in str(n.target)]
        with open(f"{out}/collective_forms.json", "w") as file:
            json.dump(dict(torch=torch.__version__, ranks=WORLD, groups={group: [0, 1]}, calls=calls,
                           outputs={f"out.{k}": [str(v.dtype), list(v.shape)] for k, v in enumerate(got)}), file, indent=1)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(worker, (sys.argv[1], 29633), WORLD)
