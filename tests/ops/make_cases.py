#!/usr/bin/env python
"""Writes small torch.export programs, each about one ATen operator or a small family, with PyTorch's results.

Usage: python make_cases.py OUTDIR [NAME...]      (NAMEs: only these files; all take a quarter of an hour on one core)

OUTDIR/NAME.pt2                   one program; its tensor inputs c0_a, c0_b, c1_a, ... are a, b, ... of case 0, case 1, ...
OUTDIR/NAME.inputs.safetensors    the inputs by those names
OUTDIR/NAME.outputs.safetensors   eager PyTorch's results, out.0, out.1, ... in flattened order; the header's metadata says
                                  of each which case it is ("out.9": "c7") and of each case what it does ("c7": "a.t().exp()")
NAME_decomposed                   some of its cases after run_decompositions(): functional, core ATen
dyn_NAME                          a symbolic batch and length; NAME.lengths.*.safetensors holds more runs, step0., step1., ...
A case whose types or shapes eager PyTorch or torch.export refuses is left out; the reasons are printed. Every file is
loaded again and run on the stored inputs; the names of results that differ follow its line.
Made with torch 2.15.0. The tests unpack them from cases.tar.xz: tar cJf cases.tar.xz OUTDIR, where OUTDIR is called cases.
"""
import copy, functools, json, logging, math, os, re, sys, warnings, zlib
from typing import NamedTuple
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils._pytree import tree_leaves

# ---------------------------------------------------------------------------------------------- types and values

f32, f64, f16, bf16 = torch.float32, torch.float64, torch.float16, torch.bfloat16
i64, i32, i16, i8, u8, b8 = torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool
FLOATS, INTS = (f32, f64, f16, bf16), (i64, i32, i16, i8, u8)
ALL, NUMBERS = FLOATS + INTS + (b8,), FLOATS + INTS
KINDS, MOST = (f32, bf16, i64, u8, b8), FLOATS + (i64, i32, u8, b8)      # KINDS: one type of every kind
MIXED = [(f32, bf16), (f16, bf16), (f64, f32), (u8, f32), (i64, bf16), (u8, i8), (i16, i64), (b8, i32), (b8, f32), (b8, u8)]
nan, inf, aten, tensor = math.nan, math.inf, torch.ops.aten, torch.tensor
LETTERS, ENDINGS = "abcdefgh", (".pt2", ".inputs.safetensors", ".outputs.safetensors")

def num(*shape, d=f32, lo=-5.0, hi=5.0):
    """Uniform values of [lo, hi): whole numbers for integer types, none below 0 for u8, coin flips for bool."""
    if d == b8: return torch.rand(shape) < 0.5
    if d.is_floating_point: return (torch.rand(shape, dtype=f64) * (hi - lo) + lo).to(d)
    low = math.ceil(max(lo, 0) if d == u8 else lo)
    return torch.randint(low, max(low, math.floor(hi)) + 1, shape).to(d)

def index(n, *shape, d=i64): return torch.randint(0, n, shape).to(d)
def distinct(*shape, d=f32): return (torch.randperm(math.prod(shape)).reshape(shape) - (7 if d != u8 else 0)).to(d)
def nonzero(x): return torch.where(x == 0, torch.ones_like(x) * 3, x) if not x.is_floating_point() else x

def unique_index(shape, dim, of):
    """Indices along dim without repetition, so that the order of writes does not matter."""
    return torch.randperm(shape[dim])[:of[dim]].reshape([-1 if i == dim % len(of) else 1 for i in range(len(of))]).expand(of).clone()

def special(d):
    """What goes wrong first: NaN, infinities, signed zeros, rounding ties, denormals, the ends of the range."""
    if d == b8: return tensor([True, False])
    if not d.is_floating_point:                 # without the smallest number: divided by -1 it is undefined
        m = torch.iinfo(d)
        return tensor([0, 1, 2, 3, 7, 100, m.max, m.max - 1, m.min + 1] + [-1, -2, -7] * (m.min < 0), dtype=d)
    m = torch.finfo(d)
    v = [1.0, 0.0, 0.5, 1.5, 9.0, 2.5, 1e-8, 1e-3, 710.0, 89.0, m.tiny / 4, m.tiny, m.max, inf]
    return tensor([nan] + v + [-x for x in v], dtype=f64).to(d)

# ------------------------------------------------------------------------------------------- cases, families of cases

class Case(NamedTuple):
    text: str                                   # Python, torch's names bare: an expression of a, b, c, ... or statements with a return
    args: tuple                                 # the tensors a, b, c, ...
    module: nn.Module = None                    # m in the text

    def call(self, *args):
        body = self.text if "return " in self.text else f"return ({self.text})"
        space = vars(torch) | globals() | dict(m=self.module)
        exec(f"def f({', '.join(LETTERS[:len(args)])}): {body}", space)
        plain = lambda x: tuple(map(plain, x)) if isinstance(x, (tuple, list)) else x
        return plain(space["f"](*args))

def case(text, *args, m=None): return Case(" ".join(text.split()), args, m)
def inplace(statements, *args): return case(f"a = a.clone(); {statements}; return a", *args)
def put(text, **names): return re.sub(r"\b[a-z]\b", lambda w: str(names.get(w[0], w[0])), text)   # a, b, n, ... replaced
def shape(text): return [int(x) for x in text.split(",")] if text != "-" else []

def drawn(operands, d, **k):
    """Tensors for "2,3 - 4/b8 5>2,3": of type d and shape [2, 3], 0-d, of type bool whatever d is, indices below 5."""
    parts = [re.fullmatch(r"(?:(\d+)>)?([\d,-]+)(?:/(\w+))?", o).groups() for o in operands.split()]
    return [index(int(n), *shape(s)) if n else num(*shape(s), d=globals().get(t, d), **k) for n, s, t in parts]

def rows(dtypes, text, thin=1, **k):
    """A case for every type and expression of "operands: expression; expression | operands: ...".

    What a type refuses does not take other expressions along. In types after the first only every `thin`-th block.
    """
    blocks = [block.split(":", 1) for block in text.split("|")]
    return [case(e, *drawn(operands, d, **k)) for i, d in enumerate(dtypes) for operands, es in blocks[::thin if i else 1] for e in es.split(";")]

def inplaces(dtypes, operands, text, **k): return [inplace(e, *drawn(operands, d, **k)) for d in dtypes for e in text.split("|")]
def singles(text): return rows((f32,), text)

def views(of, text):
    """All expressions of "e1; e2; ..." as one case, of a plain tensor and of a transposed one of the same shape, then in other types."""
    swapped, text = ",".join(of.split(",")[:-2] + of.split(",")[:-3:-1]), text.replace(";", ",")
    return singles(f"{of}: {text} | {swapped}: {put(text, a='a.transpose(-1, -2)')}") + rows((i64, b8), f"{of}: {text}")

def called(op, operands):
    """"eq ne" -> "eq(a, b), ne(a, b)"; what has brackets stays as it is."""
    return op if "(" in op else ", ".join(f"{o}({operands})" for o in op.split())

LAYOUTS = [("3,7,5", "a"), ("5,27", "a.t()"), ("6,9", "a[1:5, ::2]"), ("1,5", "a.expand(3, 5)"), ("0,4", "a"), ("-", "a")]
PAIRS = [("3,7,5 3,7,5", "a", "b"), ("3,7,5 5", "a", "b"), ("3,1,5 7,1", "a", "b"), ("67 -", "a", "b"), ("- 2,3", "a", "b"), ("4,6 6,4", "a.t()", "b"),
         ("6,9 1,5", "a[1:5, ::2]", "b"), ("0,4 4", "a", "b"), ("1 2,1,3", "a", "b.permute(2, 0, 1)")]

def unary(op, dtypes=ALL, **k):
    """Every layout in the first type; special and plain values in all types."""
    op = called(op, "a")
    return [case(put(op, a=v), *drawn(s, dtypes[0], **k)) for s, v in LAYOUTS] + [case(op, torch.cat([special(d), num(24, d=d, **k)])) for d in dtypes]

def binary(op, dtypes=MOST, b=lambda x: x, mixed=True, specials=True, **k):
    """As unary, over pairs of layouts; then types mixed. b() makes the second operand harmless."""
    op = called(op, "a, b")
    def pair(i, d, e):
        (s, t), v, w = PAIRS[i][0].split(), *PAIRS[i][1:]
        return case(put(op, a=v, b=w), *drawn(s, d, **k), b(*drawn(t, e, **k)))
    out = [pair(i, dtypes[0], dtypes[0]) for i in range(len(PAIRS))]
    out += [case(put(op, a="a[:, None]"), special(d), b(torch.cat([special(d)[::2], num(3, d=d, **k)]))) for d in dtypes if specials]
    return out + [pair(i, d, e) for i, (d, e) in enumerate(MIXED[::4]) if mixed and {d, e} <= set(dtypes)]

def scalars(op, values=(2, -3, 0.5), dtypes=KINDS, **k):
    """op, an expression of a tensor a and a number n, for every number."""
    return [case(", ".join(put(op, n=n) for n in values), num(3, 5, d=d, **k)) for d in dtypes]

def reduction(op, dtypes=ALL, several=True, whole=True, **k):
    """op, a function of (tensor, dim, keepdim=): one dimension, several, all; strided, empty and long tensors; special values."""
    def block(of, *operands, by=", "): return f"{of}: " + by.join(called(op, o) for o in operands)
    many, full = ["a, (0, 2)", "a, (-1, 0), keepdim=True", "a, (1, 2)", "a, (0, 1, 2)"] * several, ["a"] * whole
    strided = [("5,27", "a.t()"), ("6,9", "a[1:5, ::2]"), ("0,4", "a"), ("4,0", "a"), ("3,1", "a"), ("2,133", "a")]
    out = [block("3,7,5", "a, 1", "a, -1, keepdim=True", "a, 0", *many, *full), block("-", "a, 0", *full)] + [block(s, f"{v}, 1", *[v] * whole, by="; ") for s, v in strided]
    out = rows(dtypes[:1], " | ".join(out), **k) + rows(dtypes[1:], block("3,7,5", "a, 1", *many[:1], *full), **k)
    return out + [case(called(op, "a, 0"), special(d)) for d in dtypes if d in KINDS + (f16,)]

def largest(op):
    """argmax and its kind: of equal values the first, of NaNs the first."""
    ties = [tensor([[1, 3, 3, 0], [2, 2, 2, 2], [0, -1, 5, 5]]).to(d) for d in (f32, i64)]
    odd = [tensor([[1, nan, 3, nan], [inf, inf, -inf, 2], [-0.0, 0.0, -0.0, 0.0], [-inf] * 4], dtype=d) for d in (f32, bf16)]
    return [case(f"{op}(a, 1), {op}(a, 0, keepdim=True)", t) for t in ties + odd]

def trained(module):
    """A module with drawn parameters and running statistics, in eval mode."""
    for name, p in list(module.named_parameters()) + list(module.named_buffers()):
        if p.is_floating_point(): p.data = num(*p.shape, d=p.dtype, lo=0.5 if "var" in name else -1, hi=1.5)
    return module.eval()

def layer(module, operands): return case(f"m({', '.join(LETTERS[:len(operands.split())])})", *drawn(operands, next((p.dtype for p in module.parameters()), f32)), m=trained(module))

class Counter(nn.Module):
    """Buffers written in place, one of them through a view."""
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros((), dtype=i64))
        self.register_buffer("rows", torch.zeros(4, 3))

    def forward(self, x):
        self.seen.add_(1)
        self.rows[1:3] = x
        self.rows.mul_(2)
        return self.rows + self.seen, self.seen * 2

class Shared(nn.Module):
    """Constants made in forward, a parameter under two names, a buffer that is a slice of a larger storage."""
    def __init__(self):
        super().__init__()
        self.w = nn.ParameterList([nn.Parameter(num(3, 3)) for _ in range(2)])
        self.again = self.w[0]
        self.register_buffer("row", num(5, 3)[2], persistent=False)

    def forward(self, x):
        return x @ self.w[0] + tensor([1.0, 2.0, 3.0]) @ self.w[1] + self.again[0] * tensor(2) + self.row + tensor(0.5, dtype=f64)

# ------------------------------------------------------------------------------------------------- elementwise

FILES = {}                                      # name of a file -> a function that makes its cases
SMOOTH = FLOATS + (i64, b8)                     # of any integer the result is f32

def files(maker, names, *a, **k):
    """A file for every operator of `names`, with all that `maker` makes of it."""
    for n in names.split(): FILES[n] = lambda n=n: maker(n if hasattr(torch, n) else "F." + n, *a, **k)

files(unary, "abs neg sign square relu relu6")
files(unary, "frac silu hardsigmoid hardswish mish", FLOATS)
files(unary, "exp exp2 expm1 sin cos tan atan sinh cosh tanh erf erfc sigmoid reciprocal", SMOOTH)
files(unary, "log log2 log10 sqrt rsqrt", SMOOTH, lo=0.01)
files(unary, "log1p", SMOOTH, lo=-0.9)
files(unary, "asin acos", SMOOTH, lo=-1, hi=1)
files(binary, "atan2 minimum maximum")
FILES |= {
    "floor_ceil_trunc": lambda: unary("floor ceil trunc"),
    "isnan_isinf_isfinite": lambda: unary("isnan isinf isfinite"),
    "round": lambda: unary("round") + rows(FLOATS, "9,5: round(a, decimals=1), round(a, decimals=3), round(a, decimals=-1)") + [case("round(a * 0.5)", num(40, d=d, lo=-9, hi=9).round()) for d in FLOATS],
    "gelu": lambda: unary("F.gelu", FLOATS) + unary("F.gelu(a, approximate='tanh')", FLOATS),
    "leaky_relu": lambda: unary("F.leaky_relu", FLOATS) + rows(FLOATS, "4,5: F.leaky_relu(a, 0.3)"),
    "elu": lambda: unary("F.elu", FLOATS) + rows(FLOATS, "4,5: F.elu(a, 0.3)"),
    "softplus": lambda: unary("F.softplus", FLOATS) + rows(FLOATS, "4,9: F.softplus(a, beta=2.0, threshold=3.0)"),
    "hardtanh": lambda: unary("F.hardtanh", NUMBERS) + rows(FLOATS, "4,6: F.hardtanh(a, -2.0, 0.5)"),
    "add": lambda: binary("add", ALL) + scalars("add(a, n)", (2, 0.5, True)) + scalars("aten.add.Scalar(a, n)", (2, 0.5)) + rows(NUMBERS, "3,4 4: add(a, b, alpha=3)")
        + rows(FLOATS, "3,4 3,1: add(a, b, alpha=-0.5)") + singles("3,4 4/i64: add(a, b, alpha=-2) | 5: add(a, 3, alpha=2) | 5/i64: 2 + a, 0.5 + a"),
    "sub": lambda: binary("sub", ALL) + scalars("sub(a, n)") + rows(NUMBERS, "3,4 4: sub(a, b, alpha=3)") + rows(FLOATS, "3,4 3,1: sub(a, b, alpha=-0.5)"),
    "rsub": lambda: scalars("n - a") + scalars("rsub(a, n), rsub(a, n, alpha=2)") + binary("rsub", specials=False) + singles("3,4 4: rsub(a, b, alpha=0.5)"),
    "mul": lambda: binary("mul", ALL) + scalars("mul(a, n), aten.mul.Scalar(a, n)", (2, 0.5, True)),
    "div": lambda: binary("div") + scalars("div(a, n), n / a, aten.div.Scalar(a, n)"),
    "div_floor": lambda: binary("div(a, b, rounding_mode='floor')", b=nonzero) + scalars("div(a, n, rounding_mode='floor')", (2, -3, 0.7)),
    "div_trunc": lambda: binary("div(a, b, rounding_mode='trunc')", b=nonzero) + scalars("div(a, n, rounding_mode='trunc')", (2, -3, 0.7)),
    "floor_divide": lambda: binary("floor_divide", b=nonzero) + scalars("a // n", (2, -3, 0.7)) + [case("7 // a", tensor([1, -2, 3, -7, 9]))],
    "remainder": lambda: binary("remainder", b=nonzero) + scalars("remainder(a, n)", (2, -3, 0.7)) + [case("7 % a", nonzero(num(9, d=d, lo=-9, hi=9))) for d in (f32, i64)],
    "fmod": lambda: binary("fmod", b=nonzero) + scalars("fmod(a, n)", (2, -3, 0.7)),
    "pow": lambda: binary("pow", lo=-3, hi=4) + scalars("pow(a, n)", (0, 1, 2, 3, 0.5, 2.5)) + scalars("pow(a, n)", (-1, -2, -0.5), FLOATS) + [case(", ".join(f"pow(a, {n})" for n in (2, 3, 0.5, -0.5, -1, 0, 1.7)), special(f32))],
    "pow_scalar": lambda: scalars("pow(n, a)", (2, 0.5, -2, 0, 1, 10000.0), lo=-3, hi=5) + [case(", ".join(f"pow({n}, a)" for n in (2, 0.5, -2.0, 0, 1)), special(f32))],
    "compare": lambda: binary("eq ne lt le gt ge", KINDS + (f16,), lo=-1, hi=1) + scalars("a == n, a != n, a < n, a <= n, a > n, a >= n", (2, 0.5)) + rows((i64, i32, bf16), "9: a < 100000, a > -1, a <= 0.5, 0 < a, a == True"),
    "logical": lambda: binary("logical_and logical_or logical_xor", KINDS, lo=-1, hi=1) + unary("logical_not", lo=-1, hi=1),
    "bitwise": lambda: binary("bitwise_and bitwise_or bitwise_xor", (i64, u8, b8)) + unary("bitwise_not", INTS + (b8,)) + scalars("a & n, a | n, a ^ n, n & a", (5, -3, True), (i64, u8, b8)),
    "shift": lambda: binary("a << b, a >> b, bitwise_left_shift(a, b)", (i64, i32, i8, u8), b=lambda x: x.abs() % 7) + scalars("a << n, a >> n", (0, 1, 7), (i64, i32, u8), lo=-100, hi=100) + [case("a << b, a >> b", tensor([1, -5, 100]), tensor([63, 64, 70]))],
    "clamp": lambda: unary("clamp(a, -1, 2)") + scalars("clamp(a, min=n), clamp(a, max=n), clamp_min(a, n), clamp_max(a, n)", (2, 0.5)) + rows(MOST, "3,4 4 3,1: clamp(a, b, c), clamp(a, min=b), clamp_max(a, b)")
        + [case("clamp(a[:, None], min=a), clamp(a[:, None], max=a)", special(f32))] + singles("9: a.clamp(3, 1), a.clamp(2, nan) | 9/i64: a.clamp(0.5, 1.5), a.clamp(min=-0.5) | 9/i64 9: a.clamp(max=b)"),
    "where": lambda: [case(f"where(c, {v}, {w})", *(x := drawn(s, d)), num(*eval(v, dict(a=x[0])).shape, d=b8)) for d in ALL for s, v, w in PAIRS[::1 if d == f32 else 9]] + [case("where(c[:, None], a, b)", num(4, d=d), num(1, d=e), num(3, d=b8)) for d, e in MIXED]
        + rows(KINDS, "3,5 3,5/b8: where(b, a, 2), where(b, 0.5, a), where(b, -inf, a), where(b, True, a)") + singles("3,5/b8: where(a, 1, 2), where(a, 1.5, 2), where(a, 0.0, -inf), where(a, True, False) | 3 2,1 -/b8: where(c, a, b) | 3,3 3,3: where(a > b, a, b.t())"),
    "lerp": lambda: rows(FLOATS, "3,5 5 3,1: lerp(a, b, c) | 3,5 5: " + ", ".join(f"lerp(a, b, {n})" for n in (0.0, 0.3, 0.5, 0.7, 1.5))),
    "addcmul": lambda: rows(MOST, "3,4 4 3,1: addcmul(a, b, c), addcmul(a, b, c, value=3), addcmul(a.t(), b[:3], c[:, 0], value=2)"),
    "addcdiv": lambda: rows(FLOATS, "3,4 4 3,1: addcdiv(a, b, c), addcdiv(a, b, c, value=-0.5), addcdiv(a.t(), b[:3], c[:, 0], value=2)"),
    "masked_fill": lambda: rows(KINDS, "3,4 3,4/b8: a.masked_fill(b, 2) | 3,4 3,1/b8: a.masked_fill(b, 3) | 4 3,4/b8 -: a.masked_fill(b, c)") + rows(FLOATS, "3,4 4,1/b8: a.masked_fill(b[:, 0], -inf), a.t().masked_fill(~b, finfo(a.dtype).min)")
        + singles("0,4 4/b8: a.masked_fill(b, -1), a.masked_fill(b, nan) | - -/b8: a.masked_fill(b, 1)"),
}

def casts():
    """Out of an integer's range a float has no defined value: such are not drawn."""
    out = rows(FLOATS, "23: tuple(a.to(d) for d in ALL)", lo=0, hi=100) + rows(FLOATS, "23: tuple(a.to(d) for d in INTS[:-1])", lo=-100, hi=100)
    out += [case(f"tuple(a.to(d) for d in {'FLOATS + (b8,)' if d in FLOATS else 'ALL'})", special(d)) for d in FLOATS + (i64, u8, b8)] + [case("tuple(a.to(d) for d in INTS)", special(d)) for d in (i32, i16, i8)]
    return out + singles("""9: a.float(), a.half(), a.bool(), a.long(), a.int(), a.double(), a.bfloat16(), a.short(), a.char() | 9 2/bf16: a.type_as(b), a.to(b), a.to('cpu', f16), a.to(f64, copy=True), a.to(f32), a.to('cpu')
        | 3,4: a.clone(), a.contiguous(), a.t().contiguous(), a.detach(), aten.alias(a), aten.lift_fresh_copy(a) | 2,3,4,5: a.contiguous(memory_format=channels_last) + 1, a.to(memory_format=channels_last, dtype=f16)
        | 4,9: a.t().to(bf16), a.expand(2, 4, 9).to(f64), a[:, ::2].to(i32), a[1:].bfloat16()""")

def small_casts():
    """To fp8 and from every code of it; bits seen as another type."""
    x = torch.cat([tensor([448, 463, 464, 465, 480, 57344, 61439, 61440, 65000.0]), num(40, lo=-600, hi=600), num(20, lo=-0.02, hi=0.02)])
    out = [case("a.to(float8_e4m3fn), a.to(float8_e5m2)", torch.cat([special(d), x.to(d), -x.to(d)])) for d in FLOATS]
    return out + [case("tuple(a.to(d) for d in FLOATS), a.float() * 2", torch.arange(256).to(u8).view(t)) for t in (torch.float8_e4m3fn, torch.float8_e5m2)]

def promotions():
    low, few = dict(lo=1, hi=3), (f32, bf16, f16, i64, b8)
    pairs = [case("a + b, a / b", num(2, 3, d=d, **low), num(*s, d=e, **low)) for d in few for s, es in (((3,), few), ((), (f64, f32, i64, b8))) for e in es if d != e] + [case("cat([a, b]), stack([a, b])", num(3, d=d), num(3, d=e)) for d, e in MIXED]
    numbers = rows(KINDS[:-1], "2,3: a + 1, a + 1.5, a * True, a / 2, a ** 2, a ** 0.5, 2 ** a, a > 1, a == 1.5, a + 1e-8, a * a.shape[0], a / a.shape[1], 2 - a, 1.5 - a, a // 2, a % 3, -a, +a, abs(a), a - 0.5", lo=0, hi=4)
    return pairs + numbers + [case("a + b, a * b, a & b, a | b, a ^ b, ~a, a == b, a > b, a / b, a.sum(), a.cumsum(0), a.float() - b.float(), a * 2, a + 0.5, a & True, a > 0.5, a == 1", tensor([0, 0, 1, 1]).bool(), tensor([0, 1, 0, 1]).bool())]

FILES |= {"cast": casts, "cast_fp8": small_casts, "promotion": promotions, "view_dtype": lambda: singles("3,4: a.view(i32), a.view(u8), a.view(i16) | 3,2/f64: a.view(f32) | 7/i16: a.view(bf16)")}

# ------------------------------------------------------------------------------------------ in place, on views

FILES |= {
    "inplace_arith": lambda: sum((inplaces((d,), f"3,4 4/{e}", "a.add_(b) | a.sub_(b, alpha=2) | a.mul_(b) | a.div_(b) | a.div_(b, rounding_mode='floor') | a.pow_(b) | a.remainder_(b) | a.eq_(b) | a.logical_and_(b) | a.bitwise_xor_(b) | a += b; a *= 2", lo=1)
            for d, e in ((f32, "f32"), (bf16, "f32"), (i64, "i64"), (b8, "b8"))), [])
        + inplaces((f32, i64), "3,4", """a.add_(2) | a.mul_(0.5) | a.sub_(1).neg_().abs_() | a.exp_().sigmoid_() | a.sqrt_().rsqrt_().tanh_() | a.clamp_(1, 2) | a.clamp_min_(1.5).clamp_max_(2) | F.relu(a.sub_(1), inplace=True) | F.silu(a, inplace=True)
            | F.hardtanh(a, inplace=True) | a.floor_().add_(1, alpha=3) | a.lerp_(a.flip(0), 0.3) | a.addcmul_(a, a, value=2) | a.triu_(1) | a.cumsum_(0) | a.reciprocal_().log_() | a.round_().square_()""", lo=0.2, hi=3),
    "inplace_fill": lambda: inplaces(KINDS, "3,4", "a.fill_(1) | a.zero_(); a[1:].fill_(2) | a.t()[1].zero_() | a.masked_fill_(a > 1, 1)")
        + [inplace("a.copy_(b)", num(3, 4, d=d), num(*s, d=e)) for d, e in [(f32, f32), (u8, u8), (b8, f32), (i64, f32)] + MIXED[::2] for s in ((3, 4), (4,), (3, 1))[::1 if d == f32 else 2]]
        + inplaces((f32,), "3,3 3,2 3/b8 -", "a.fill_(-inf) | a.fill_(a[0, 0]) | a[:, ::2].copy_(b) | a.masked_fill_(c, d) | a.t().copy_(a.clone())") + inplaces((f32,), "0,3 3", "a.copy_(b)"),
    "inplace_slice": lambda: inplaces((f32, b8), "6,8", "a[1:3] = 1 | a[:, ::2] = 0 | a[..., -1] = 1 | a[2, 3] = 1 | a[-2:] = 1 | a[None, 4:1] = 1 | a[...] = 1 | a[5:100, -3:-1] = 1")
        + [inplace(f"a[{k}] = b", num(6, 8, d=d), num(*s)) for d in (f32, bf16) for k, s in (("1:3", (2, 8)), ("1:3", (8,)), (":, 1::3", (6, 3)), ("..., 0", (6,)), ("5", (8,)), ("0:6:2, 2:5", (3, 1)), ("2, 3", ()))]
        + inplaces((f32,), "6,8", """a[1:3] += 1 | a[1:3][:, 0].mul_(2) | a.view(-1)[3:7].zero_() | a.t()[0].add_(1); a.transpose(0, 1)[2:4].neg_() | a.unbind()[0].add_(a[1]) | x, y = a.chunk(2, 1); y.mul_(x) | a.diagonal().fill_(3)
            | a.view(3, 2, 8)[:, 1].unsqueeze(0).squeeze(0)[1:].add_(10) | a.split(2)[1].copy_(a[:2]) | a.select(1, 3).sub_(a[:, 2]) | a.narrow(0, 1, 4).narrow(1, 2, 2).zero_() | a.view(2, 3, 8).permute(2, 0, 1)[1, 1].fill_(5)
            | a.flatten()[::5].neg_() | a.expand(2, 6, 8)[0, 0].clone().zero_() | a[0].add_(1); a[0, 2:4].mul_(a[1, 2:4]); a[:, 2].zero_() | a.unflatten(1, (2, 4))[:, 1, ::2] = a[:, :2] | a.contiguous()[2] = 4; a.reshape(48)[0] = 3""")
        + [case(t, num(3, 3)) for t in ("a = a.clone(); x, y, old = a[0], a.t()[1], a[0].clone(); a.add_(1); x.mul_(2); return a, x + 1, y * 1, old, a.sum()", "a = a.clone(); x = a * 2; a[1] = 0; y = a * 2; a.copy_(x); return x, y, a",
            "x = zeros(4, 4); x[:3, 1:] = a; x[0] += 1; return x", "x = a.new_empty(6, 3); x[::2] = a; x[1::2] = -a; return x", "x = a.repeat(2, 1); v = x.view(-1); v[4:9] *= 2; w = v.view(3, 6); w[1] = 0; return x, w, v[::3]")],
    "inplace_input": lambda: [case("a.add_(b); b[0] = 7; return a * b", num(3, 4, d=d), num(3, 4, d=d)) for d in (f32, i64)] + [case("a[:, 1].zero_(); return a + 0", num(3, 4)), case("return a.t().mul_(2)", num(3, 4)), case("a.copy_(b); return a, b", num(3), num(3))],
    "index_put": lambda: [inplace(f"a[{k}] = b", num(5, 4, d=d), num(*s, d=d)) for d in (f32, i64) for k, s in (("tensor([0, 3])", (2, 4)), (":, tensor([2, 0, 1])", (5, 3)), ("tensor([0, 1, 2]), tensor([3, 2, 1])", (3,)), ("tensor([[0], [4]]), tensor([1, -1])", (2, 2)), ("1:4, tensor([0, 3])", (3, 2)))]
        + [inplace("a.index_put_((c,), b, accumulate=True)", num(5, 3, d=d), num(*s, d=d), tensor([0, 2, 2, -1])) for d in KINDS[:4] for s in ((4, 3), (3,))] + [inplace("a.index_put_((c,), b)", num(5, 3, d=d), num(*s, d=d), tensor([0, 2, -1])) for d in KINDS for s in ((3, 3), ())]
        + [case("index_put(a, (b, c), d), index_put(a, (b[:, None], c), d[0], accumulate=True)", num(5, 4), index(5, 3), tensor([0, 2, 3]), num(3)), inplace("a[b] = 2", num(3, 4), num(3, 4, d=b8)), inplace("a[b] = 2", num(3, 4, d=i64), num(3, d=b8)), inplace("a[b] += 1", num(5, 2), tensor([4, 0])),
           case("aten.index_put(a, [None, b], c, True)", num(3, 4), index(4, 6), num(3, 6)), case("aten.index_put(a, [b, None, c], d)", num(3, 2, 3), tensor([2, 0]), tensor([1, 1]), num(2, 2)),
           inplace("a[b] = c", num(3, 4), torch.zeros(0, dtype=i64), num(0, 4)), inplace("a[..., b] = c", num(2, 3, 4), tensor([1, 3]), num(2, 3, 2))],
}

# ------------------------------------------------------------------------------------------------------- views

FILES |= {
    "reshape": lambda: views("2,3,4", """a.reshape(6, 4); a.reshape(-1); a.reshape(2, -1, 2); a.flatten(); a.flatten(1); a.flatten(0, 1); a.unflatten(2, (2, -1)); a.unflatten(-1, (1, 4)); a.ravel(); a.reshape(1, 2, 3, 1, 4);
            a.contiguous().view(4, 6); a.reshape_as(empty(4, 6)); a[:, 1:].reshape(-1, 4); a.permute(2, 0, 1).reshape(4, 6); a.contiguous().view(-1).view_as(empty(24))""")
        + singles("""-: a.reshape(1), a.reshape(()), a.reshape(1, 1), a.flatten(), a.view(1, 1, 1) | 1,1: a.reshape(1), a.reshape(()), a.flatten() | 0,4: a.reshape(4, 0, 2), a.flatten(), a.view(0, 5), a.reshape(2, 0)
            | 4,4: a[:, ::2].view(2, 2, 2), a.t().view(2, 2, 4), a[:1].expand(3, 4).reshape(2, 6)"""),
    "permute": lambda: views("2,3,4", "a.permute(2, 0, 1); a.permute(0, -1, 1); a.permute((1, 0, 2)); a.transpose(0, 2); a.transpose(-1, -2); a.movedim(0, 2); a.movedim((0, 1), (2, 0)); a.swapaxes(0, 1); a.mT; a.permute(2, 1, 0).permute(1, 2, 0); a.transpose(1, 1); a.transpose(0, 1).contiguous() + 1")
        + singles("3,4: a.t(), a.T | 5: a.t() | -: a.t(), a.permute(()), a.transpose(0, -1) | 0,3: a.t() | 2,3,1,4,2: a.permute(3, 0, 4, 1, 2), a.permute(4, 3, 2, 1, 0)"),
    "expand": lambda: views("3,1,4", "a.expand(3, 5, 4); a.expand(2, 3, 1, 4); a.expand(-1, 2, -1); a.expand(2, -1, 6, -1); a.expand_as(empty(3, 2, 4)); broadcast_to(a, (3, 3, 4)); a.expand(3, 0, 4); a.expand(3, 2, 4) + 1; a[:, :, :1].expand(3, 2, 3).sum(-1)")
        + singles("-: a.expand(3), a.expand(2, 2), a.expand(()) | 3,1 4: broadcast_tensors(a, b) | 3 2: meshgrid(a, b, indexing='ij'), meshgrid(a, b, indexing='xy') | 1,3 2,2,3: a.expand_as(b)"),
    "squeeze_unsqueeze": lambda: views("3,1,4,1", "a.squeeze(); a.squeeze(1); a.squeeze(-1); a.squeeze(0); a.squeeze((1, 3)); a.squeeze((0, -3)); a.unsqueeze(0); a.unsqueeze(-1); a.unsqueeze(2); a[None, :, None]; a[..., None]")
        + singles("-: a.unsqueeze(0), a.unsqueeze(-1), a.squeeze(), a.squeeze(0) | 1,0,1: a.squeeze(), a.unsqueeze(1) | 1,1: a.squeeze()"),
    "slice": lambda: views("5,6,4", "a[1:3]; a[::2]; a[-2:]; a[:-1, 1:]; a[..., 1:100]; a[3:1]; a[:, 5:]; a[-100:2, :, ::3]; a[2]; a[-1, :, 1]; a[..., 0]; a[1, 2, 3]; a[1::2, ::2, 1::2]; aten.slice.Tensor(a, 1, 1, None, 2); a[1:4][::2][:, 1:]; a[:, 1:3] * a[:, 3:5]")
        + singles("3,2: a[0:0], a[:], a[5:] | 0,3: a[:2], a[:, None, 1:2]"),
    "select_narrow": lambda: views("5,3,4", "a.select(0, 2); a.select(-1, -2); a.narrow(0, 1, 3); a.narrow(-1, 2, 0); a.narrow(2, -2, 1); select_scatter(a, a[:, 0] * 1, 1, 2); slice_scatter(a, a[:2] * 1, 0, 1, 5, 2); a.select(0, 1).select(0, 1)"),
    "split": lambda: views("5,4", "a.split(3); a.split(3, 1); a.split([1, 4]); a.split_with_sizes([1, 0, 3], -1); a.chunk(3); a.chunk(2, -1); a.tensor_split(3); a.tensor_split((1, 2)); a.tensor_split(3, 1); a.unbind(); a.unbind(1)[2]; a.split(100); a.split(3)[1] * 2")
        + singles("0,3: a.split(2), a.chunk(2) | 2,3: [x + i for i, x in enumerate(a.unbind(-1))]"),
    "cat": lambda: rows((f32, i64), "2,3 1,3: cat([a, b]) | 2,3 2,1 2,4: cat([a, b, c], 1) | 2,2,3 2,2,5: cat((a, b), -1) | 3: cat([a]) | 0 2,3: cat([a, b]) | 2,0 2,3: cat([a, b], 1) | 0,3 0,3: cat([a, b]) | 2,1,3 2,4,3: concat([a, b], -2)")
        + [case("cat([a, b, a])", num(3, d=d), num(2, d=e)) for d, e in MIXED + [(d, d) for d in ALL]] + singles("3,4 4,6: cat([a.t(), b[:, ::2]]), cat([a.expand(2, 3, 4), b[None, 1:4, :4].expand(2, 3, 4)], 1)"),
    "stack": lambda: rows((f32, bf16, i64, b8), "2,3 2,3: stack([a, b]), stack([a, b, a], 1), stack([a, b], -1) | -: stack([a]) | 0,2: stack([a, a, a]) | 3 3: stack([a, b], -2)") + singles("3,3 3,3: hstack([a, b]), vstack([a, b]), stack([a.mT, b], 1) | 3 3: hstack([a, b]), vstack([a, b])"),
    "pad": lambda: views("2,3,4", "; ".join(f"F.pad(a, {p}, value={v})" for p in ((1, 2), (0, 1, 2, 0), (1, 1, 0, 0, 2, 1), (-1, 2), (0, -2, -1, 1)) for v in (0.0, 2.0)))
        + singles("0,3: F.pad(a, (1, 1, 2, 0)) | 4/u8: F.pad(a, (2, 1)), aten.constant_pad_nd(a, [1, 0], 3) | 4,4: F.pad(a, (1, 1), value=-inf), F.pad(a, (0, 0)), F.pad(a.t(), (1, 0), 'constant')"),
    "pad_modes": lambda: sum((rows((f32, bf16, i64), put("2,3,7: F.pad(a, (2, 1), m) | 2,7: F.pad(a, (1, 3), m) | 1,2,5,6: F.pad(a, (2, 1, 0, 3), m); F.pad(a.transpose(2, 3), (1, 2, 3, 1), m) | 1,2,4,5,3: F.pad(a, (1, 1, 2, 0, 1, 2), m) | 1,4,5: F.pad(a, (0, 0), m) | 1,2,5: F.pad(a, (-1, 2), m)", m=f"'{mode}'"), 3)
            for mode in ("reflect", "replicate", "circular")), []),
    "flip_roll": lambda: views("3,4,5", "a.flip(0); a.flip(-1, 1); a.flip((0, 1, 2)); a.flip(()); a.roll(2); a.roll(-1, 0); a.roll((1, -7), (0, 2)); a.roll(9, -1); a[:, ::2].flip(1)") + singles("0,3: a.flip(0), a.roll(1, 0) | -: a.roll(3), a.flip(())"),
    "repeat": lambda: views("2,3", "a.repeat(2, 1); a.repeat(2, 1, 3); a.repeat(0, 2); a.tile(2); a.tile(2, 1, 2); a.tile((1, 2)); a.repeat_interleave(3); a.repeat_interleave(2, 0); a.repeat_interleave(2, -1); a[:, None].expand(2, 2, 3).reshape(4, 3)") + singles("-: a.repeat(3), a.repeat(2, 2), a.tile(2)"),
    "unfold_diagonal": lambda: views("5,6", "a.unfold(0, 2, 1); a.unfold(1, 3, 2); a.unfold(-1, 5, 1); a.unfold(0, 2, 2).unfold(1, 2, 3); a.diagonal(); a.diagonal(1); a.diagonal(-2); a.contiguous().as_strided((2, 3), (6, 2), 1); a[:, None].diagonal(0, 0, 2)") + singles("3,4,5: a.diagonal(0, 1, 2), a.diagonal(1, 0, -1)"),
    "pixel_shuffle": lambda: rows(KINDS[:3], "2,8,3,5: F.pixel_shuffle(a, 2) | 9,2,3: F.pixel_shuffle(a, 3) | 2,3,4,6: F.pixel_unshuffle(a, 2) | 1,6,4: F.pixel_unshuffle(a, 2) | 4,5,1,3: F.pixel_shuffle(a.permute(2, 0, 1, 3), 2)"),
}

# -------------------------------------------------------------------------------------------------- reductions

files(reduction, "mean", FLOATS)
files(reduction, "logsumexp", whole=False)
FILES |= {
    "amax_amin": lambda: reduction("amax amin"),
    "any_all": lambda: reduction("any all", KINDS, lo=-0.5, hi=1),
    "var_std": lambda: reduction("var std", FLOATS),
    "sum": lambda: reduction("sum") + rows((f32, f16, i32, u8, b8), "3,4: a.sum(dtype=f64), a.sum(1, dtype=f32), a.sum((0, 1), keepdim=True, dtype=f64), a.sum(()), a.expand(2, 3, 4).sum((0, 2)), aten.sum.dim_IntList(a, [], True)"),
    "mean_dtype": lambda: rows((f32, bf16, i64, u8, b8), "3,4: a.mean(dtype=f32), a.mean(1, dtype=f64), a.mean((0, 1), keepdim=True, dtype=f32), a.t().mean(-1, True, dtype=f32)"),
    "prod": lambda: reduction("prod", several=False, lo=-2, hi=2) + rows((f32, i32, b8), "3,4: a.prod(dtype=f64), a.prod(1, dtype=i64)"),
    "count_nonzero": lambda: rows(ALL, "3,7,5: count_nonzero(a), count_nonzero(a, 1), count_nonzero(a.mT, (0, -1))", lo=-1, hi=1) + [case("count_nonzero(a)", special(d)) for d in FLOATS] + singles("-: count_nonzero(a) | 0,3: count_nonzero(a, 0)"),
    "max_min": lambda: largest("max") + largest("min") + rows(ALL, "3,7: max(a), min(a.t()), a.t().max(0), a.min(-1, keepdim=True), max(a, a.flip(1)), min(a, a.flip(0))") + [case("a.max(), a.min()", special(d)) for d in FLOATS] + singles("-: a.max(0), a.min() | 3,0: a.max(0)"),
    "argmax_argmin": lambda: largest("argmax") + largest("argmin") + rows(NUMBERS, "3,7,5: a.argmax(), a.permute(2, 0, 1).argmin(), a.argmax(-1, keepdim=True), a.argmin(keepdim=True)") + [case("a.argmax(), a.argmin(0)", special(d)) for d in FLOATS] + singles("-: a.argmax(), a.argmin(0) | 3,0: a.argmax(0)"),
    "var_mean": lambda: rows(FLOATS, "3,7,5: var_mean(a, 1), var_mean(a, (0, 2), keepdim=True, correction=0), std_mean(a), a.var(correction=2), a.std(0, unbiased=False), a.var(1, correction=0), a.var(unbiased=False)")
        + singles("3,40: a.var(1), a.std(1, correction=0), (a * 1e-3 + 30).t().var(1) | 3,1: a.var(1), a.std(1, correction=0) | 1: a.std() | 0,3: a.var(0), a.std()"),
    "norm": lambda: rows(FLOATS, "3,7: norm(a), a.norm(dim=1), a.norm(1, 0, keepdim=True), a.norm(p=inf, dim=-1), F.normalize(a, dim=0), F.normalize(a, p=1.0, eps=10.0), linalg.norm(a), linalg.norm(a.t(), dim=1)"),
    "linalg_vector_norm": lambda: rows((f32, bf16), "3,7: " + ", ".join(put("linalg.vector_norm(a, n), linalg.vector_norm(a, n, dim=-1, keepdim=True), linalg.vector_norm(a, n, dim=(0, 1))", n=n) for n in (2, 1, 0, 3, 0.5, inf, -inf)))
        + rows((f16, bf16), "3,7: linalg.vector_norm(a, dim=1, dtype=f32)") + [case("linalg.vector_norm(a, dim=1)", num(3, 0)), case("linalg.vector_norm(a)", special(f32))],
    "cumsum_cumprod": lambda: rows(ALL, "3,7: a.cumsum(-1), a.t().cumsum(0), a.cumprod(1), a.cumsum(1, dtype=f32)", lo=-2, hi=2) + [case("a.cumsum(0), a.cumprod(0)", special(d)) for d in KINDS]
        + rows((f32,), "-: a.cumsum(0), a.cumprod(-1) | 1: a.cumsum(0) | 0,3: a.cumsum(0), a.cumprod(-1) | 3,0: a.cumsum(0), a.cumsum(1) | 130: a.cumsum(0), a.cumprod(0)", lo=-1, hi=1),
    "softmax": lambda: rows(FLOATS, "3,7: F.softmax(a, -1), F.log_softmax(a, -1), F.softmax(a, 0), F.log_softmax(a, 0) | 2,5,3: F.softmax(a, 1), F.log_softmax(a, 1) | 2,1: F.softmax(a, -1), F.log_softmax(a, -1) | 2,67: F.softmax(a, -1), F.log_softmax(a, -1)")
        + singles("4,6: F.softmax(a.t(), 0), F.log_softmax(a[:, ::2], 1), F.softmin(a, 1) | -: a.softmax(0), a.log_softmax(0) | 0,4: a.softmax(1), a.softmax(0) | 3,0: a.softmax(1)") + rows((f16, bf16, i64), "3,5: a.softmax(-1, dtype=f32), a.log_softmax(0, dtype=f32)")
        + [case("a.softmax(-1), a.log_softmax(-1)", tensor([[1, 2, -inf], [-inf] * 3, [inf, 1, 2], [nan, 1, 2], [1000, 1001, 999], [-1e4, 0, 1e4], [3e4, -3e4, 3e4]], dtype=d)) for d in FLOATS]
        + rows((f32, bf16), "3,7: aten._softmax(a, -1, False), aten._log_softmax(a, 0, False), aten._safe_softmax(a.masked_fill(a > -4, -inf), -1)"),
    "topk": lambda: [case(f"topk(a, {k})", distinct(4, 7, d=d)) for d in (f32, f64, f16, bf16, i64, i32, u8) for k in ("3", "2, 0", "7, -1, False", "1, 1, True", "0")[::1 if d == f32 else 2]]
        + [case("a.t().topk(2, 0)", distinct(3, 5)), case("a.topk(1)", num()), case("a.topk(2)", tensor([[1, nan, 3], [-inf, inf, 0]])), case("a.topk(4).values", num(6, d=i64, lo=0, hi=2))],
    "sort": lambda: [case("sort(a, stable=True), sort(a, dim=0, descending=True, stable=True), argsort(a, stable=True)", num(5, 6, d=d, lo=-2, hi=2)) for d in MOST] + [case("a.t().sort(-1, descending=True), a.argsort(0), a.sort()", distinct(5, 6))]
        + [case("a.sort(stable=True), a.sort(stable=True, descending=True, dim=-1)", special(d)) for d in MOST] + singles("-: a.sort(-1) | 1: a.sort() | 0,3: a.sort() | 2,0: a.sort()"),
}

# --------------------------------------------------------------------------------------- norms, matmul, attention

def attention(operands, options="", d=f32, view="", mask=()):
    """view: how a stored tensor becomes [b, n, s, d]; mask: the operand d."""
    return case(f"F.scaled_dot_product_attention(a{view}, b{view}, c{view}{options})", *drawn(operands, d, lo=-2, hi=2), *mask)

def attentions():
    plain = ["1,2,5,8 1,2,7,8 1,2,7,8", "1,2,7,24 1,2,5,24 1,2,5,24", "1,1,4,64 1,1,4,64 1,1,4,64", "1,1,3,80 1,1,6,80 1,1,6,80"]
    out = [attention(s, o, d) for d, some in ((f32, plain), (f64, plain[:1]), (f16, plain[::2]), (bf16, plain[1::2])) for s in some for o in ("", ", is_causal=True", ", scale=0.3")[::1 if d == f32 else 2]]
    boolean = [torch.rand(s) < 0.7 for s in ((5, 7), (2, 1, 1, 7), (2, 3, 5, 7))] + [(torch.arange(7) < 3).expand(5, 7).clone(), torch.arange(5)[:, None] >= torch.arange(7)]
    boolean += [boolean[-1] & (torch.arange(5) != 2)[:, None]]                                                         # row 2 sees nothing
    masks, masked = boolean + [num(5, 7), num(1, 3, 5, 7), num(2, 1, 1, 7)] + [torch.zeros(5, 7).masked_fill(~m, -inf) for m in boolean[4:]], "2,3,5,4 2,3,7,4 2,3,7,4"
    out += [attention(masked, ", d", d, mask=[m.to(d) if m.is_floating_point() else m]) for d in (f32, bf16) for m in masks[::1 if d == f32 else 4]]
    out += [attention(masked, ", attn_mask=d, scale=1.0, dropout_p=0.0", f16, mask=boolean[:1]), attention(masked, ", attn_mask=d.expand(2, 3, 5, 7)", mask=[num(5, 1)])]
    out += [attention(f"1,6,5,8 1,{n},7,8 1,{n},7,8", o + ", enable_gqa=True", d, mask=m) for d in (f32, bf16) for n, o, m in ((2, "", []), (1, ", is_causal=True", []), (3, ", attn_mask=d", boolean[:1]))[::1 if d == f32 else 2]]
    out += [attention("2,5,3,8 2,7,3,8 2,7,3,8", o, d, ".transpose(1, 2)") for d in (f32, bf16) for o in ("", ", is_causal=True")] + [attention("2,5,24 2,7,24 2,7,24", "", d, ".view(2, -1, 3, 8).transpose(1, 2)") for d in (f32, bf16)]
    out += rows((f32, bf16), "2,5,72: F.scaled_dot_product_attention(*a.view(2, 5, 3, 3, 8).permute(2, 0, 3, 1, 4).unbind(0)).transpose(1, 2).reshape(2, 5, 24)") + [attention("1,1,66,8 1,1,70,8 1,1,70,8", ", is_causal=True")]
    return out + [attention(o) for o in ("2,5,8 2,7,8 2,7,8", "5,8 7,8 7,8", "1,2,5,8 1,2,7,8 1,2,7,12", "1,2,0,8 1,2,7,8 1,2,7,8", "1,1,1,8 1,1,67,8 1,1,67,8", "2,2,5,8 1,2,7,8 1,2,7,8")]

NORMED = [("3,7", "7"), ("2,3,5", "5"), ("2,3,5", "3,5"), ("4,67", "67"), ("3,1", "1"), ("0,5", "5"), ("5", "5")]       # shape, normalized shape
GROUPED = [(2, "2,4,5", 4), (1, "2,6,3,5", 6), (6, "1,6,7", 6), (3, "2,6", 6), (2, "1,4,2,3,2", 4)]                      # groups, shape, channels
EINSUMS = [("ij,jk->ik", "3,4 4,5"), ("bij,bjk->bik", "2,3,4 2,4,5"), ("bhsd,bhtd->bhst", "2,2,3,4 2,2,5,4"), ("bnd,md->bnm", "2,3,4 5,4"), ("...ij,...j->...i", "2,3,4 4"), ("i,j->ij", "3 4"), ("ij->ji", "3,4"), ("ii->i", "3,3"), ("ij->", "3,4"),
           ("i,i", "5 5"), ("ab,bc,cd->ad", "2,3 3,4 4,2"), ("bqhd,bkhd->bhqk", "1,3,2,4 1,5,2,4"), ("bs...,s->b...", "2,3,4 3"), ("nchw,oc->nohw", "1,3,2,2 4,3")]
FILES |= {
    "layer_norm": lambda: rows(FLOATS, " | ".join(f"{s} {w} {w}: F.layer_norm(a, ({w},), b, c), F.layer_norm(a, ({w},), b), F.layer_norm(a, ({w},), eps=0.1)" for s, w in NORMED), 3) + [layer(nn.LayerNorm(5), "2,3,5")]
        + rows((f32, bf16), "2,3,5: F.layer_norm(a.transpose(1, 2), (3,)), F.layer_norm(a[:, :, ::2], (3,)), F.layer_norm(a.float() * 1e-4 + 50, (5,)) | 2,3,5 5: aten.native_layer_norm(a, [5], b, None, 1e-5)"),
    "rms_norm": lambda: rows(FLOATS, " | ".join(f"{s} {w}: F.rms_norm(a, ({w},), b), F.rms_norm(a, ({w},)), F.rms_norm(a, ({w},), b, eps=0.1)" for s, w in NORMED), 3) + [layer(nn.RMSNorm(5), "2,3,5")]
        + rows((f32, bf16), "2,3,5: F.rms_norm(a.transpose(1, 2), (3,)), F.rms_norm(a * 1e-4, (5,), eps=1e-6) | 2,3,16 16: b * (a.float() * rsqrt(a.float().pow(2).mean(-1, keepdim=True) + 1e-6)).to(a.dtype)"),
    "group_norm": lambda: rows(FLOATS, " | ".join(f"{s} {c} {c}: F.group_norm(a, {g}, b, c), F.group_norm(a, {g}), F.group_norm(a, {g}, b, c, 0.1)" for g, s, c in GROUPED), 3) + [layer(nn.GroupNorm(2, 4), "1,4,3,3")]
        + singles("2,5,4: F.group_norm(a.transpose(1, 2), 2) | 2,4,3,5: F.group_norm(a.contiguous(memory_format=channels_last), 2) | 2,4,3 4: aten.native_group_norm(a, b, None, 2, 4, 3, 2, 1e-5)"),
    "batch_norm": lambda: rows(FLOATS, " | ".join(f"{s} 3 3 3 3: F.batch_norm(a, b, c.abs() + 0.1, d, e), F.batch_norm(a, b, c.abs() + 0.1, d, None, eps=0.1)" for s in ("2,3", "2,3,5", "2,3,4,5", "1,3,2,2,3", "0,3,4")), 3)
        + singles("2,5,3 3 3: F.batch_norm(a.transpose(1, 2), b, c.abs() + 0.1) | 2,3,5/bf16 3 3: F.batch_norm(a, b, c.abs() + 0.1)") + [layer(nn.BatchNorm2d(3), "2,3,4,5"), layer(nn.BatchNorm1d(3, affine=False), "2,3,5")],
    "instance_norm": lambda: rows(FLOATS, "2,3,5 3 3: F.instance_norm(a), F.instance_norm(a, weight=b, bias=c), F.instance_norm(a, eps=0.1) | 2,3,4,5 3 3: F.instance_norm(a, weight=b, bias=c) | 1,2,2,3,2: F.instance_norm(a)")
        + singles("2,3,5 3 3: F.instance_norm(a, b, c.abs() + 0.1, use_input_stats=False) | 1,2,4,5: F.instance_norm(a.transpose(2, 3))"),
    "matmul": lambda: rows((f32,), " | ".join(f"{s} {t}: matmul(a, b)" for s in ("5", "3,5", "2,3,5", "2,1,3,5") for t in ("5", "5,6", "2,5,6", "1,2,5,1")) + " | 3,0 0,4: a @ b | 0,3 3,4: a @ b | 2,0,3 3,4: a @ b | 1,1 1,1: a @ b | 33,40 40,35: a @ b", lo=-1, hi=1)
        + rows(FLOATS, "4,6 6,3: a @ b, b.t() @ a.t(), a.t() @ a, a[:, ::2] @ b[::2] | 2,3,5 2,5,4: a @ b, a.mT @ a, a[:, None] @ b.expand(2, 2, 5, 4), b.mT @ a[0].t()"),
    "matmul_integer": lambda: rows(INTS, "4,6 6,3: a @ b, b.t() @ a.t(), mm(a, b), mv(a, b[:, 0]), dot(a[0], b[:, 0]), addmm(b[:4], a, b) | 2,3,5 2,5,4: a @ b, bmm(a, b), a[0] @ b"),
    "mm_bmm": lambda: rows(FLOATS, "3,5 5,4: mm(a, b), mm(b.t(), a.t()), mm(a, a.t()) | 2,3,5 2,5,4: bmm(a, b), bmm(b.mT, a.mT)", lo=-2, hi=2)
        + singles("0,3 3,2: mm(a, b) | 2,0 0,3: mm(a, b) | 1,67 67,1: mm(a, b) | 17,33 33,9: mm(a, b) | 0,2,3 0,3,2: bmm(a, b) | 2,3,0 2,0,2: bmm(a, b) | 3,1,5 3,5,1: bmm(a, b)"),
    "addmm": lambda: rows(FLOATS, "4,4 4,5 5,4: addmm(a, b, c), addmm(a, b, c, beta=2, alpha=3), addmm(a, c.t(), b.t()), addmm(a[:1], b, c, beta=0) | 3,2 3,4 4,2 -: addmm(a, b, c, beta=0.5, alpha=-1.5), addmm(a[0], b, c), addmm(d, b, c)", lo=-2, hi=2)
        + [case("addmm(a, b, c, beta=0), addmm(a, b, c)", tensor([[nan, 1.0], [inf, 2.0]]), num(2, 3), num(3, 2)), case("addmm(a, b, c)", num(3), num(2, 0), num(0, 3))],
    "baddbmm_addmv": lambda: rows(FLOATS, "2,3,4 2,3,5 2,5,4: baddbmm(a, b, c), baddbmm(a[:, :1], b, c, beta=0.5, alpha=2), baddbmm(a[0], b, c, beta=0) | 3 3,5 5: addmv(a, b, c), addmv(a, b, c, beta=3, alpha=2), mv(b, c), mv(b.t(), a)", lo=-2, hi=2),
    "dot_outer": lambda: rows(FLOATS, "7 3: dot(a, a), outer(a, b), outer(b, a[::2])", lo=-2, hi=2) + singles("0: dot(a, a), outer(a, a)"),
    "linear": lambda: rows(FLOATS, " | ".join(f"{s} 4,5 4: F.linear(a, b, c), F.linear(a, b)" for s in ("3,5", "5", "2,3,5", "0,5", "1,2,3,5", "1,5")), 2) + [layer(nn.Linear(5, 4), "3,5"), layer(nn.Linear(33, 17, bias=False), "2,33"), layer(nn.Linear(8, 6).bfloat16(), "3,8")]
        + rows((f32, bf16), "2,5,3 4,5 4: F.linear(a.transpose(1, 2), b, c), F.linear(a.transpose(1, 2)[:, ::2], b[:, :5]), F.linear(a[:, 0, :2], b[:1, :2])") + singles("3,5 4,5 4: F.gelu(F.linear(a, b, c)) + a[:, :4], F.linear(a, b) * 2"),
    "einsum": lambda: [case(f"einsum('{e}', {', '.join('abc'[:len(s.split())])})", *drawn(s, d, lo=-2, hi=2)) for d in (f32, bf16) for e, s in EINSUMS[::1 if d == f32 else 2]],
    "sdpa": attentions,
    "complex_rope": lambda: rows((f32, f64), "2,5,8 5,4: view_as_real(view_as_complex(a.reshape(2, 5, 4, 2)) * polar(ones_like(b), b))")
        + rows((f32, bf16), "1,5,2,8 5,4,2/f32: view_as_real(view_as_complex(a.float().reshape(1, 5, 2, 4, 2)) * view_as_complex(b)[None, :, None]).flatten(3).type_as(a)") + singles("3,4 3,4: view_as_real(complex(a.cos(), a.sin()) * complex(b, -b)), complex(a, b).real, complex(a, b).imag")
        + [case("f = outer(arange(6, dtype=f32), 1.0 / (100.0 ** (arange(0, 8, 2) / 8))); return view_as_real(polar(ones_like(f), f) * view_as_complex(a))", num(6, 4, 2))],
}

# ------------------------------------------------------------------------------------------ convolution, pooling

def convs(op, text, dtypes=FLOATS):
    """text: "input weight: options | ..."; each with and without bias."""
    def block(row):
        (x, w), options = row.split(":")[0].split(), "".join(", " + o.strip() for o in row.split(":")[1:] if o.strip())
        wide = shape(w)[1] * int((re.search(r"groups=(\d+)", options) or [0, 1])[1]) if "transpose" in op else shape(w)[0]
        return f"{x} {w} {wide}: F.{op}(a, b, c{options}), F.{op}(a, b{options})"
    return rows(dtypes, " | ".join(block(row) for row in text.split("|")), 4, lo=-2, hi=2)

def resized(modes, text, dtypes=FLOATS): return sum((rows(dtypes, re.sub(r": ([^|;]*[^|;\s])", rf": F.interpolate(a, \1, mode={mode})", text), 5) for mode in modes), [])

FILES |= {
    "conv1d": lambda: convs("conv1d", "2,3,9 4,3,3: | 1,4,10 4,2,3: padding=1, groups=2 | 1,3,9 2,3,4: padding='same' | 1,3,11 2,3,3: stride=2, dilation=2 | 1,4,8 4,1,3: padding=2, groups=4 | 3,7 2,3,1: | 1,3,5 2,3,5: | 1,3,9 2,3,3: padding='valid', stride=3 | 0,3,9 4,3,3:")
        + singles("1,9,3 2,3,3: F.conv1d(a.transpose(1, 2), b)") + [layer(nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"), "1,3,9")],
    "conv2d": lambda: convs("conv2d", """2,3,7,6 4,3,3,3: | 1,3,7,6 4,3,3,3: padding=1 | 1,3,8,8 2,3,2,2: stride=2 | 1,4,6,7 6,2,3,3: padding=(0, 1), groups=2 | 1,4,6,7 4,1,3,3: padding=1, groups=4 | 1,3,9,9 2,3,3,3: dilation=(2, 3), padding=2 | 1,3,6,7 2,3,2,3: padding='same'
            | 2,5,4,3 4,5,1,1: | 3,6,6 2,3,3,1: stride=(2, 1) | 1,4,5,5 8,1,3,3: groups=4 | 1,3,9,8 2,3,4,3: padding='same', dilation=2 | 1,2,14,14 3,2,7,7: stride=7 | 1,3,2,3 2,3,3,3: padding=2""")
        + singles("1,3,7,6 2,3,3,3: F.conv2d(a.transpose(2, 3), b), F.conv2d(a[:, :, ::2], b), F.conv2d(a.contiguous(memory_format=channels_last), b, padding=1)")
        + [layer(nn.Conv2d(3, 4, 3, padding=1), "1,3,6,5"), layer(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect", bias=False), "1,3,6,5"), layer(nn.Conv2d(16, 8, 3, padding=1).bfloat16(), "1,16,5,5")],
    "conv3d": lambda: convs("conv3d", "1,2,4,5,4 3,2,2,3,2: | 1,2,4,5,4 3,2,3,3,3: padding=1 | 1,2,5,5,5 2,2,2,2,2: stride=2 | 1,4,4,4,3 4,2,2,2,2: groups=2 | 1,2,5,5,5 2,2,2,2,2: dilation=(2, 1, 2), padding=(1, 0, 1) | 1,2,3,4,4 2,2,3,2,3: padding='same' | 2,4,4,4 2,2,2,2,2: stride=(1, 2, 2)"),
    "conv_transpose1d": lambda: convs("conv_transpose1d", "2,3,5 3,4,3: | 1,3,5 3,2,4: stride=2, padding=1 | 1,3,5 3,2,3: stride=3, output_padding=2 | 1,4,5 4,2,3: groups=2, stride=2 | 1,3,5 3,2,3: dilation=2 | 3,5 3,2,2:"),
    "conv_transpose2d": lambda: convs("conv_transpose2d", """2,3,4,5 3,4,3,3: | 1,3,4,5 3,2,4,4: stride=2, padding=1 | 1,3,4,3 3,2,3,3: stride=2, padding=1, output_padding=1 | 1,4,3,4 4,3,2,2: groups=2, stride=2 | 1,3,4,3 3,2,3,2: dilation=(2, 3) | 1,4,3,3 4,1,3,3: groups=4, padding=(1, 0)
            | 1,3,3,4 3,2,3,2: stride=(2, 3), output_padding=(1, 2)""") + [layer(nn.ConvTranspose2d(3, 2, 4, 2, 1), "1,3,4,4")] + singles("1,3,4,5 3,2,2,3: F.conv_transpose2d(a.transpose(2, 3), b)"),
    "conv_transpose3d": lambda: convs("conv_transpose3d", "1,2,3,3,2 2,3,2,2,2: | 1,2,3,2,3 2,2,3,3,3: stride=2, padding=1, output_padding=1 | 1,4,2,3,2 4,1,2,2,2: groups=2, dilation=(1, 2, 1)"),
    "max_pool": lambda: rows(FLOATS + (i64,), """2,3,7,6: F.max_pool2d(a, 2) | 1,3,10: F.max_pool1d(a, 3, 2, 1) | 1,2,10: F.max_pool1d(a, 2, stride=3, ceil_mode=True) | 1,3,8,7: F.max_pool2d(a, 3, 2, 1) | 1,2,7,8: F.max_pool2d(a, (3, 2), stride=(2, 1), padding=(1, 0)) | 2,3,9: F.max_pool1d(a, 3)
            | 1,2,9,9: F.max_pool2d(a, 3, 2, 1, dilation=2) | 1,2,8,7: F.max_pool2d(a, 3, 2, ceil_mode=True) | 1,2,6,6: F.max_pool2d(a, 2, 2, 1, 1, True) | 1,2,5,6,5: F.max_pool3d(a, 2) | 1,2,6,5,7: F.max_pool3d(a, 3, 2, 1, ceil_mode=True)""", 3)
        + singles("1,2,6,7: F.max_pool2d(a.transpose(2, 3), 2), F.max_pool2d(a[0], 2), F.max_pool2d(a, 2, return_indices=True)") + [case("F.max_pool2d(a, 2, 1)", tensor([[[[1, nan, 3], [-inf, -inf, 0], [-inf, -inf, inf]]]]))],
    "avg_pool": lambda: rows(FLOATS, """2,3,9: F.avg_pool1d(a, 3) | 1,3,10: F.avg_pool1d(a, 3, 2, 1) | 1,2,10: F.avg_pool1d(a, 4, 3, 1, ceil_mode=True, count_include_pad=False) | 2,3,7,6: F.avg_pool2d(a, 2) | 1,3,8,7: F.avg_pool2d(a, 3, 2, 1) | 1,2,7,8: F.avg_pool2d(a, (3, 2), (2, 1), (1, 0), count_include_pad=False)
            | 1,2,8,7: F.avg_pool2d(a, 3, 2, ceil_mode=True); F.avg_pool2d(a, 3, 2, 1, True, False) | 1,2,6,6: F.avg_pool2d(a, 3, 1, 1, divisor_override=5); F.avg_pool2d(a, 3, 2, 1, True, divisor_override=2) | 1,2,5,6,5: F.avg_pool3d(a, 2) | 1,2,6,5,7: F.avg_pool3d(a, 3, 2, 1, True, False)
            | 1,2,6,7: F.avg_pool2d(a.transpose(2, 3), 2), F.avg_pool2d(a[0], 2)""", 3),
    "adaptive_pool": lambda: sum((rows(FLOATS, re.sub(r"\bpool", f"F.adaptive_{kind}_pool", """2,3,9: pool1d(a, 4) | 1,3,5: pool1d(a, 1) | 1,2,5: pool1d(a, 7) | 2,3,7,6: pool2d(a, (3, 4)) | 1,3,7,6: pool2d(a, 1) | 1,2,5,7: pool2d(a, (None, 3)) | 1,2,3,4: pool2d(a, (5, 7))
            | 1,2,4,5,6: pool3d(a, (2, 3, 4)) | 1,2,4,3,5: pool3d(a, 1) | 1,2,6,7: pool2d(a.transpose(2, 3), 3), pool2d(a[0], (2, 3))"""), 5) for kind in ("avg", "max")), []),
    "upsample_nearest": lambda: resized(("'nearest'", "'nearest-exact'"), "1,2,5: size=8 | 1,2,5: scale_factor=2 | 1,2,7: size=3 | 2,3,4,5: scale_factor=2 | 1,2,4,5: size=(7, 3) | 1,2,5,4: scale_factor=(1.5, 0.7) | 1,2,5,4: scale_factor=1.7, recompute_scale_factor=True | 1,2,3,4,3: scale_factor=2 | 1,2,3,4,3: size=(5, 3, 4)", FLOATS + (u8,))
        + singles("1,2,3,4: F.interpolate(a.transpose(2, 3), scale_factor=2)"),
    "upsample_linear": lambda: sum((resized([f"'{m}', align_corners={c}"], text) for c in (False, True) for m, text in (("linear", "1,2,5: size=8 | 1,2,5: scale_factor=2 | 1,2,7: size=3"), ("trilinear", "1,2,3,4,3: scale_factor=2 | 1,2,3,4,3: size=(5, 3, 4)"),
            ("bilinear", "2,3,4,5: scale_factor=2 | 1,2,4,5: size=(7, 3) | 1,2,5,4: scale_factor=(1.5, 0.7) | 1,2,5,4: scale_factor=1.7, recompute_scale_factor=True | 1,2,1,4: size=(3, 1)"))), []) + singles("1,2,6,7: F.interpolate(a.transpose(2, 3), scale_factor=2, mode='bilinear')"),
    "upsample_bicubic": lambda: resized(("'bicubic', align_corners=False", "'bicubic', align_corners=True"), "2,3,4,5: scale_factor=2 | 1,2,4,5: size=(7, 3) | 1,2,5,4: scale_factor=(1.5, 0.7) | 1,1,1,4: size=(3, 2)"),
}

# ---------------------------------------------------------------------------------------------- indexing, making

SCATTER = [("4,5", 1, "4,3", "4,3"), ("4,5", 0, "2,5", "3,6"), ("6", 0, "4", "4"), ("2,3,4", 1, "2,2,3", "2,2,4"), ("4,5", -1, "0,5", "0,5")]     # input, dim, index, source

def scatters(dtypes, text, thin=2):
    """text, an expression of a, b (indices along the dimension n) and c, over SCATTER."""
    return rows(dtypes, " | ".join(f"{s} {shape(s)[n]}>{i} {c}: {put(text, n=n)}" for s, n, i, c in SCATTER), thin)

INDEXED = ("a[b], a[:, b], a[..., d]", "a[b, d], a[c, d], a[c[:, 0]], a[c]", "a[b, :, d], a[:, d, d], a[1, d], a[d, 0]", "a[b, 1:3], a[::2, d, 1:], a[b][:, d], a[None, b], a[b, None]", "a[b, d, d], a[c, d, d[None]], aten.index(a, [None, None, d]), aten.index(a, [c, None, d])")
FILES |= {
    "embedding": lambda: rows(FLOATS + (i64, b8), " | ".join(f"7>{s} 7,5: F.embedding(a, b), F.embedding(a, b, padding_idx=2)" for s in ("3,4", "-", "0,3")), 2) + singles("5>2,3 4,5: F.embedding(a.t(), b.t()), b.t()[a], F.embedding(a.int(), b)") + [case("m(a)", index(7, 3), m=trained(nn.Embedding(7, 4, padding_idx=0)))],
    "gather": lambda: scatters(KINDS, "gather(a, n, b)") + singles("4,5 4>4,3: a.t().gather(0, b), a.gather(1, b[:, :1].expand(4, 2)) | - 1>-: a.gather(0, b)"),
    "index": lambda: [case(t, num(5, 4, 3, d=d), tensor([0, 3, -1]), tensor([[1], [0]]), tensor([2, -2, 0])) for d in (f32, i64) for t in INDEXED]
        + singles("5,4 4>0: a[b], a[:, b] | 5,4 4>2,0: a[b] | 5,4 4>2,1,2: a[b], a[:, b], a[b, b] | 5,4 4>3: a[b.int()], a.t()[b], a[:, ::2][b, 1], a.expand(2, 5, 4)[:, b, b] | 4 4>1: a[b] | 3,4: a[[0, 2]], a[:, [1, -1]], a[[0, 1], [2, 3]] | 5,4/bf16 4>3: a[b] | 5,4/b8 4>3: a[b]"),
    "index_by_item": lambda: singles("5,4 4>-: a[b], a[:, b], a[b, b]"),                                             # a 0-d tensor as index: the export calls item()
    "index_select": lambda: rows(KINDS, "4,5 4>6: a.index_select(0, b), a.index_select(-1, b[:2]), a.t().index_select(0, b), a.index_select(1, b[:0])") + singles("4,5 4>3: a.index_select(0, b.int()) | 3 3>-: a.index_select(0, b) | - 1>1: a.index_select(0, b)"),
    "index_copy_add": lambda: [case("a.index_copy(0, b, c), a.index_copy(1, b, a[:, :3] + 1), a.clone().index_copy_(0, b, c + c)", num(4, 5, d=d), tensor([2, 0, 3]), num(3, 5, d=d)) for d in KINDS]
        + [case("a.index_add(0, b, c), a.index_add(-1, b, c[:4], alpha=2), a.clone().index_add_(0, b, c)", num(4, 5, d=d), tensor([2, 0, 3, 2, 2]), num(5, 5, d=d)) for d in KINDS + (f16, i32)] + [case("a.index_add(0, b, c), a.index_copy(0, b[:0], c[:0])", num(4), tensor([1, 1]), num(2))],
    "scatter": lambda: [case(f"scatter(a, {n}, b, c), a.scatter({n}, b, 2), a.clone().scatter_({n}, b, c)", num(*shape(s), d=d), unique_index(shape(s), n, shape(i)), num(*shape(c), d=d)) for d in KINDS for s, n, i, c in SCATTER[::1 if d == f32 else 3]]
        + [case("a.t().scatter(0, b.t(), c.t())", num(3, 5), unique_index((3, 5), 1, (3, 2)), num(3, 2)), case("a.scatter(0, b, c)", num(), tensor(0), num())],
    "scatter_add": lambda: scatters(KINDS + (f16, i32), "scatter_add(a, n, b, c), a.clone().scatter_add_(n, b, c)", 3) + singles("5,4 4>3,5 3,5: a.t().scatter_add(0, b, c)"),
    "scatter_reduce": lambda: sum((scatters((f32, i64), f"a.scatter_reduce(n, b, c, reduce='{r}'), a.scatter_reduce(n, b, c, reduce='{r}', include_self=False)", 4) for r in ("sum", "amax")), [])
        + scatters((f32,), "a.scatter_reduce(n, b, c, reduce='amin'), a.scatter_reduce(n, b, c, reduce='prod', include_self=False), a.scatter_reduce(n, b, c, reduce='mean')"),
    "arange_linspace": lambda: singles("""2,3: arange(5), arange(2, 9, 3), arange(5, 0, -2), arange(0), arange(-3, 3); arange(5.0), arange(0.5, 3.2, 0.4), arange(1, 2, 0.1), arange(3, -1.0, -0.7), arange(0, 1, 0.25, dtype=f64);
            arange(7, dtype=f32), arange(7, dtype=bf16), arange(7, dtype=i32), arange(0, 14, 2, dtype=f16), arange(3, dtype=u8); arange(a.shape[1], device=a.device), arange(a.shape[0]) * 2 + a[0, :2], a + arange(3); 1.0 / (10000 ** (arange(0, 8, 2).float() / 8)), exp(-math.log(10000) * arange(0, 8, dtype=f32) / 8);
            linspace(0, 1, 5), linspace(-3, 7, 33), linspace(2, 1, 4), linspace(0, 1, 1), linspace(1, 2, 0), linspace(0, 10, 7, dtype=f64), linspace(0, 1, 5, dtype=bf16), linspace(0, 10, 4, dtype=i64)"""),
    "full_like": lambda: rows((f32, bf16, i64), "2,3: full_like(a, 3), zeros_like(a), ones_like(a), a.new_zeros(2, 3), a.new_ones((4,)), a.new_full((2,), 5), a.new_tensor([1, 0]), empty_like(a).fill_(2), a.new_empty(3).zero_(), full_like(a, 1, dtype=f32), zeros_like(a.t(), dtype=i64), full(a.shape, 7), scalar_tensor(2, dtype=a.dtype)")
        + singles("""3: full((2, 3), 1.5), full((), -inf), full((2,), nan), full((2,), True), full((0, 2), 1), full((2,), 3, dtype=f16), full((2,), 3, dtype=u8); zeros(2, 3), ones(3, dtype=i64), zeros((), dtype=b8), ones(2, 0), zeros(2, 3).copy_(a);
            eye(3), eye(2, 4, dtype=i64), tensor([[1, 2], [3, 4]]) + 0, tensor(2.5) * a, tensor([True, False]), tensor(1.0, dtype=bf16)"""),
    "tril_triu": lambda: rows((f32, i64, b8), "4,6: " + ", ".join(f"a.tril({k}), a.triu({k}), a.t().tril({k})" for k in (0, 1, -2, 5, -9))) + singles("2,3,3: a.tril(), a.triu(1), a.mT.tril(-1) | 2,1,4,5: a.tril(), a.triu(1), a.mT.tril(-1) | 0,3: a.tril(), a.triu(1) | 3,0: a.triu() | 5,5: ones(5, 5, dtype=b8).tril(), full((5, 5), -inf).triu(1) + a"),
    "one_hot": lambda: singles("5>3: F.one_hot(a, 5), F.one_hot(a, 7).float() * 2, a[:, None] == arange(5) | 5>2,3: F.one_hot(a, 5) | 5>-: F.one_hot(a, 5) | 5>0: F.one_hot(a, 5) | 5>2,1,2: F.one_hot(a, 6)"),
    "dropout_asserts": lambda: [case("F.dropout(a, 0.5, training=False), F.dropout1d(a, 0.5, False), F.alpha_dropout(a, 0.3, False), m(a) + 1, aten.dropout(a, 0.1, False)", num(2, 3, 4, d=d), m=nn.Dropout(0.3).eval()) for d in (f32, bf16)] + [case(t, num(2, 3)) for t in (
            "_check(a.shape[0] > 1); _check(a.dim() == 2, lambda: 'two'); aten._assert_tensor_metadata(a, None, None, f32); _assert(a.shape[1] == 3, 'three'); return a + 1, a.to(f16), a.double().to(f32)", "aten._assert_async.msg((a.abs() < 100).all(), 'small'); return a * 2")],
    "modules": lambda: [case("m(a)", num(2, 3), m=Counter()), layer(Shared(), "4,3"), layer(nn.Sequential(nn.Linear(5, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 3)), "2,5"),
        layer(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)), "1,2,6,6")],
    "modules_attention": lambda: [case("m(a, a, a, need_weights=False)[0]", num(2, 5, 8), m=trained(nn.MultiheadAttention(8, 2, batch_first=True))), layer(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0), "2,5,8")],
}

# Rarer operators: one case each, away from the files above, so that what does not know them still has those.
FILES |= {
    "rare_elementwise": lambda: rows((f32, bf16), """4,6: F.selu(a), F.celu(a, 0.7), F.glu(a), F.glu(a.t(), 0), F.threshold(a, 0.1, 20.0), F.hardshrink(a), F.softshrink(a), F.logsigmoid(a), F.softsign(a), asinh(a), acosh(a), atanh(a), log10(a), nan_to_num(a)
        | 4,6 6: F.prelu(a.t(), b), copysign(a, b), hypot(a, b), fmax(a, b), fmin(a, b), logaddexp(a, b), xlogy(a, b)"""),
    "rare_views": lambda: singles("""3,4: a.rot90(1, (0, 1)), a.fliplr(), a.diag(), a[0].diag(1), a.diag_embed(), a.adjoint(), a.H, dstack([a, a]), column_stack([a, a]), a.hsplit(2), atleast_3d(a), narrow_copy(a, 0, 1, 2), select_copy(a, 1, 1), diagonal_scatter(a, a.diagonal() * 2), repeat_interleave(a, tensor([1, 0, 2]), 0, output_size=3)
        | 1,6,4,3: F.channel_shuffle(a, 3), F.unfold(a, 2), F.unfold(a, (3, 2), dilation=(1, 2), padding=1, stride=2) | 1,8,30: F.fold(a, (4, 5), 2, padding=1) | 3 2: cartesian_prod(a, b)""") + inplaces((f32,), "3,3", "a.t_().add_(1) | a.unsqueeze_(0).squeeze_() | a.fill_diagonal_(9)"),
    "rare_products": lambda: singles("3,4 4,3: linalg.multi_dot([a, b, a]), tensordot(a, b, dims=([1], [0])), kron(a, b), inner(a, b.t()) | 3,3 3,3: linalg.cross(a, b), trace(a), linalg.vecdot(a, b), addr(a, a[0], b[0]), vdot(a[0], b[0]), ger(a[0], b[0]) | 2,4 2,3,5 2,5,4: addbmm(a[:1], b, c)") + [layer(nn.Bilinear(5, 4, 2), "3,5 3,4")]
        + [case("x = view_as_complex(a); return x.abs(), view_as_real(x + 1), view_as_real(x / (2 + x)), view_as_real(x.sum(0)), view_as_real(conj(x).resolve_conj()), view_as_real(cat([x, x])), view_as_real(x[1:].t() * x[0].unsqueeze(-1))", num(3, 4, 2))],
    "rare_forms": lambda: rows((f32, bf16), "4,6 6: float_power(a.abs(), b), float_power(a, 2), subtract(a, 3), nanmean(a, 1), nanmean(a.masked_fill(a > 2, nan)), a.clone().transpose_(0, 1).floor_divide_(3.0), aten._reshape_copy(a.t(), [3, 8]), aten.sym_stride(a, 0) * a")
        + singles("2,3,5 3 3: F.batch_norm(a, None, None, b, c, True), F.batch_norm(a, None, None, training=True), aten._native_batch_norm_legit(a, b, c, True, 0.1, 1e-5) | 1,3,9 2,3,4: aten._convolution_mode(a, b, None, [1], 'same', [1], 1) | 1,2,5,8 1,2,7,8 1,2,7,8: aten._scaled_dot_product_attention_math(a, b, c)[0] | 2,3 3,4 4,2: chain_matmul(a, b, c) | 20,9/i8 9,8/i8: _int_mm(a, b) | 5/i64: bitwise_left_shift(3, a.abs())"),
    "rare_order": lambda: [case("a.kthvalue(2), a.median(), a.median(1), a.msort(), a.cummax(0), a.cummin(1), logcumsumexp(a, 1), aminmax(a), aminmax(a, dim=1), nansum(a, 1)", distinct(4, 5)), case("bucketize(a, b), bucketize(a, b, right=True), searchsorted(b, a), isin(a.round(), b)", num(9), tensor([-3.0, -1.0, 0.0, 2.0]))],
    "rare_index": lambda: singles("3,4 4>3,2: take(a, b), take_along_dim(a, b, 1), a.scatter(1, b[:, :1], 2.0, reduce='multiply'), a.index_fill(1, b[0], 1) | 7,4 7>2,3: F.embedding_bag(b, a, mode='mean') | 3,4 4/b8 3,4: a.masked_scatter(b, c) | 4: logspace(0, 3, 4), tril_indices(3, 4), triu_indices(3, 3, 1)"),
    "rare_image": lambda: singles("1,2,6,7: F.local_response_norm(a, 2), F.lp_pool2d(a.abs(), 2, 3), F.max_pool1d(a[0], 3, return_indices=True), F.interpolate(a, size=(3, 4), mode='bilinear', antialias=True), F.interpolate(a, size=(3, 4), mode='bicubic', antialias=True) | 3,7 7: F.cosine_similarity(a, b, dim=-1), dist(a, b)")
        + [case(f"F.grid_sample(a, b, mode='{m}', padding_mode='{p}', align_corners={c})", num(1, 2, 4, 5), num(1, 3, 4, 2, lo=-1.4, hi=1.4)) for m, p, c in (("bilinear", "zeros", False), ("nearest", "border", True), ("bicubic", "reflection", False))],
}
DECOMPOSED = "layer_norm rms_norm group_norm batch_norm softmax linear matmul conv2d max_pool upsample_nearest inplace_arith inplace_slice inplace_fill index_put expand var_mean where cast sdpa modules embedding complex_rope rare_products rare_views".split()

# ----------------------------------------------------------------------------------------------- symbolic sizes

# name: operands (letters are symbolic sizes), statements, a module
DYNAMIC = {
    "dyn_reshape": ("b,s,8", "b, s, h = a.shape; return a.reshape(b, s, 2, -1).transpose(1, 2), a.reshape(-1, h), a.view(b * s, h).sum(0), a.flatten(), a.reshape(b, -1), a.permute(1, 0, 2).reshape(s, -1), a.unflatten(2, (2, 4)).flatten(0, 1)"),
    "dyn_arange_mask": ("b,s", "b, s = a.shape; x = arange(s, device=a.device); m = x[:, None] >= x[None]; y = full((s, s), -inf).triu(1); return a + x, m, y, where(m, 0.0, -inf)[None, None].expand(b, 1, s, s), ones(s, s, dtype=b8).tril(), x.float().outer(arange(4) / 4), (a > 0).cumsum(1), zeros(b, s + 1)"),
    "dyn_cat_slice": ("b,s,3 b,t,3", "s, t = a.shape[1], b.shape[1]; x = cat([a, b], 1); return x, x[:, s:], x[:, :t], x[:, -1], x[:, 1:-1], x[:, : s // 2], x[:, ::2], cat([x, x.new_zeros(x.shape[0], 1, 3)], 1), stack([a, a * 2]), F.pad(a, (0, 0, 2, 0)), x.narrow(1, s, t), x.split([s, t], 1)[1], roll(a, 1, 1), a.flip(1)"),
    "dyn_attention": ("b,2,s,8 b,2,t,8", "y = cat([b, a], 2); n, s, t = a.shape[0], a.shape[2], y.shape[2]; m = arange(s)[:, None] + (t - s) >= arange(t)[None]; return F.scaled_dot_product_attention(a, y, y, attn_mask=m), F.scaled_dot_product_attention(a, y, y), F.scaled_dot_product_attention(a, a, a, is_causal=True), softmax(a @ y.mT / math.sqrt(8) + zeros(s, t).masked_fill(~m, -inf), -1)"),
    "dyn_linear_norm": ("b,s,8", "x = F.layer_norm(m(a), (6,)); return x, F.rms_norm(a, (8,)), a.mean(1), a.sum(), a.amax((0, 2)), a.argmax(1), x @ x.mT, einsum('bsh,bth->bst', a, a), a.var(1), F.softmax(a, 1), a.sort(stable=True, dim=1).values, a.mean((0, 1), keepdim=True)", nn.Linear(8, 6)),
    "dyn_conv_image": ("b,3,s,t", "return m(a), F.interpolate(a, scale_factor=2.0), F.max_pool2d(a, 2), F.avg_pool2d(a, 3, 1, 1), F.interpolate(a, size=(a.shape[2] * 2, a.shape[3] + 1), mode='bilinear'), F.pixel_unshuffle(F.interpolate(a, scale_factor=2.0), 2), F.pad(a, (1, 1, 1, 1), mode='replicate'), F.adaptive_avg_pool2d(a, 1)", nn.Conv2d(3, 4, 3, padding=1)),
    "dyn_embedding_index": ("40>b,s 40,4", "n, s = a.shape; return F.embedding(a, b), b[a], b[:s], b.index_select(0, arange(s)), gather(b[:s], 1, a.t()[:, :1] % 4), F.one_hot(a, 40), b[:s].repeat(n, 1), b[None, :s].expand(n, s, 4), a.eq(3).int().argmax(-1), zeros(n, 40).scatter(1, a, 1.0), b[arange(n), a[:, -1] % 4]"),
    "dyn_shape_arithmetic": ("b,s", "b, s = a.shape; return a * s, a / math.prod(a.shape), a + (s // 2) * b, a.new_full((b + s,), 2.0), ones(sym_max(s, 3)), arange(0, 2 * s, 2), arange(s, 0, -1), a * (s ** -0.5), a.expand(3, b, s), a.repeat(2, s), zeros(b * s - 1), a.reshape(1, b * s), full((2,), s), a[:, : (s + 1) // 2], a.unsqueeze(1).expand(-1, s, -1).reshape(b * s, s)"),
    "dyn_tensor_of_sizes": ("b,s", "b, s = a.shape; return tensor(s) + a, tensor([b, s])"),
    "dyn_inplace": ("b,s", "x = a.clone(); s = x.shape[1]; x[:, s // 2:] = 0; x[0] += 1; x[:, -1].mul_(2); x.t()[1:].add_(1); y = zeros(x.shape[0], s + 2); y[:, 2:] = a; y[:, :1].fill_(3); return x, y, where(a > 0, a, 0).cumsum(0)"),
}
DYNAMIC_SIZES = [dict(b=3, s=5, t=7), dict(b=2, s=8, t=3), dict(b=7, s=2, t=11), dict(b=2, s=13, t=2)]    # the first is the exported one

# ------------------------------------------------------------------------------------------ export, save, check

class Program(nn.Module):
    def __init__(self, cases):
        super().__init__()
        self.cases, self.parts = cases, nn.ModuleList([c.module for c in cases if c.module])

    def forward(self, **tensors):
        return tuple(c.call(*[tensors[f"c{i}_{n}"] for n, _ in zip(LETTERS, c.args)]) for i, c in enumerate(self.cases))

def inputs_of(cases): return {f"c{i}_{n}": t.clone() for i, c in enumerate(cases) for n, t in zip(LETTERS, c.args)}
def export(cases, **k): return torch.export.export(Program(cases), (), inputs_of(cases), strict=False, **k)
def eager(c): return tree_leaves(c._replace(module=copy.deepcopy(c.module)).call(*[t.clone() for t in c.args]))
def write(path, tensors, metadata=None): save_file({k: t.detach().contiguous().clone() for k, t in tensors.items()}, path, metadata)
def numbered(outs): return {f"out.{i}": t for i, t in enumerate(outs)}

def refusal(act, *args):
    """The first line of what PyTorch says against it, or None."""
    try: act(*args)
    except (RuntimeError, NotImplementedError, ZeroDivisionError, IndexError, TypeError, ValueError) as e:
        return f"{type(e).__name__}: {(str(e).strip().splitlines() or [''])[0][:150]}"

def kept(cases):
    """The cases that run and can be exported; prints what is said against the others."""
    why = [refusal(eager, c) for c in cases]
    good = [c for c, w in zip(cases, why) if not w]
    if refusal(export, good):
        late = {id(c): refusal(export, [c]) for c in good}
        why = [w or late[id(c)] and "export: " + late[id(c)] for c, w in zip(cases, why)]
    for w in dict.fromkeys(filter(None, why)):
        those = [c for c, x in zip(cases, why) if x == w]
        print(f"    {len(those)} left out: {w} | {those[0].text} {[str(a.dtype)[6:] for a in those[0].args]}")
    return [c for c, w in zip(cases, why) if not w]

json.dumps = functools.partial(json.dumps, separators=(",", ":"))    # of torch.export too: a tenth less

def save(path, program, cases):
    """Writes the three files; source traces and sample inputs are left out of the .pt2."""
    for node in program.graph.nodes:
        for k in ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn"): node.meta.pop(k, None)
    program._example_inputs = None
    torch.export.save(program, path + ".pt2")
    results = [(f"c{i}", t) for i, c in enumerate(cases) for t in eager(c)]
    write(path + ".inputs.safetensors", inputs_of(cases))
    write(path + ".outputs.safetensors", numbered(t for _, t in results), numbered(n for n, _ in results) | {f"c{i}": c.text for i, c in enumerate(cases)})
    return f"{len(cases)} cases, {len(results)} results, {sum(os.path.getsize(path + e) for e in ENDINGS) / 1024:.0f} KiB"

def check(path, rtol=1e-6, run="", prefix=""):
    """Loads the program, runs it on the stored inputs (of one run) and compares; returns what differs."""
    ins = {k[len(prefix):]: t for k, t in load_file(f"{path}{run}.inputs.safetensors").items() if k.startswith(prefix)}
    want = {k[len(prefix):]: t for k, t in load_file(f"{path}{run}.outputs.safetensors").items() if k.startswith(prefix)}
    got = numbered(tree_leaves(torch.export.load(path + ".pt2").module()(**ins)))
    assert list(got) == sorted(want, key=lambda k: int(k[4:])), f"{path}: {len(got)} results, {len(want)} stored"
    return [k for k, g in got.items() if g.shape != want[k].shape or g.dtype != want[k].dtype or not close(g, want[k], rtol)]

def close(got, want, rtol):
    """Equal; floats: up to rtol of the largest, and what the type can tell apart."""
    if not want.is_floating_point(): return torch.equal(got, want)
    rtol, got, want = max(rtol, 4 * torch.finfo(want.dtype).eps), got.double(), want.double()
    return torch.allclose(got, want, rtol, rtol * float(want.nan_to_num(0, 0, 0).abs().amax()) if want.numel() else 0, True)

def static(folder, name):
    torch.manual_seed(zlib.crc32(name.encode()))
    cases, path = kept(FILES[name]()), f"{folder}/{name}"
    print(f"{name}: {save(path, export(cases), cases)}", *check(path), flush=True)
    if name in DECOMPOSED:
        cases, path = cases[::-(-len(cases) // 7)], path + "_decomposed"
        print(f"{name}_decomposed: {save(path, export(cases).run_decompositions(), cases)}", *check(path, 1e-5), flush=True)

def dynamic(folder, name):
    torch.manual_seed(zlib.crc32(name.encode()))
    operands, text, *module = DYNAMIC[name]
    module = trained(module[0]) if module else None
    runs = [Case(text, tuple(drawn(put(operands, **sizes), f32)), module) for sizes in DYNAMIC_SIZES]
    dims = {f"c0_{n}": {i: torch.export.Dim.DYNAMIC for i, x in enumerate(o.split(">")[-1].split(",")) if x.isalpha()} for n, o in zip(LETTERS, operands.split())}
    path = f"{folder}/{name}"
    print(f"{name}: {save(path, export(runs[:1], dynamic_shapes=dict(tensors=dims)), runs[:1])}", *check(path))
    steps = [(f"step{i}.", c) for i, c in enumerate(runs)]
    write(path + ".lengths.inputs.safetensors", {p + k: t for p, c in steps for k, t in inputs_of([c]).items()})
    write(path + ".lengths.outputs.safetensors", {p + k: t for p, c in steps for k, t in numbered(eager(c)).items()})
    for p, _ in steps: print(f"    {p[:-1]}", *check(path, 1e-5, ".lengths", p), flush=True)

def main():
    folder, *names = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with torch.no_grad():
        for name in names or [*FILES, *DYNAMIC]: (dynamic if name in DYNAMIC else static)(folder, name)

if __name__ == "__main__": main()
