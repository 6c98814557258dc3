// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "import/arithmetic.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

template <Fn fn>
Results single(Lowering& l, const Args& a) {
  return l.e.unary(fn, a.value("self"));
}

// PyTorch computes each of these in one step: small floats are widened once and rounded once.
template <class F>
ValueId activate(Lowering& l, ValueId x, F&& f) {
  return l.e.cast(f(widen(l, x)), l.e.dtype(x));
}

ValueId times(Lowering& l, ValueId x, ValueId y) { return l.e.binary(Fn::mul, x, y); }

ValueId clamp(Lowering& l, ValueId x, double low, double high) {
  return l.e.with_number(Fn::minimum, l.e.with_number(Fn::maximum, x, low), high);
}

ValueId above(Lowering& l, ValueId x, double bound) {
  return l.e.with_number(Fn::greater, x, bound);
}

Results gelu(Lowering& l, const Args& a) {
  const std::string& kind = a.text("approximate");
  require_argument(kind == "none" || kind == "tanh", "approximate is ", kind,
                   "; none or tanh is wanted");
  return l.e.unary(kind == "tanh" ? Fn::gelu_tanh : Fn::gelu, a.value("self"));
}

Results relu6(Lowering& l, const Args& a) { return clamp(l, a.value("self"), 0, 6); }

Results hardtanh(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const auto bound = [&](std::string_view name) {
    return bound_in(l, a.number(name), l.e.dtype(x));
  };
  return l.e.binary(Fn::minimum, l.e.binary(Fn::maximum, x, bound("min_val")), bound("max_val"));
}

Results hardsigmoid(Lowering& l, const Args& a) {
  return activate(l, a.value("self"), [&](ValueId x) {
    return l.e.with_number(Fn::div, clamp(l, l.e.with_number(Fn::add, x, 3), 0, 6), 6);
  });
}

Results hardswish(Lowering& l, const Args& a) {
  return activate(l, a.value("self"), [&](ValueId x) {
    const ValueId gate = clamp(l, l.e.with_number(Fn::add, x, 3), 0, 6);
    return l.e.with_number(Fn::div, times(l, x, gate), 6);
  });
}

Results leaky_relu(Lowering& l, const Args& a) {
  return activate(l, a.value("self"), [&](ValueId x) {
    const ValueId leaked = l.e.with_number(Fn::mul, x, a.real("negative_slope"));
    return l.e.choose(above(l, x, 0), x, leaked);
  });
}

Results prelu(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  ValueId weight = a.value("weight");
  // One slope for each channel, which is axis 1.
  if (l.e.rank(weight) == 1 && l.e.rank(x) > 1) {
    Shape shape(static_cast<size_t>(l.e.rank(x)), 1);
    shape[1] = l.e.extent(weight, 0);
    weight = l.e.reshape(weight, shape);
  } else if (l.e.rank(weight) == 1 && l.e.rank(x) == 0) {
    weight = l.e.reshape(weight, {});
  }
  return l.e.choose(above(l, x, 0), x, times(l, x, weight));
}

ValueId elu_of(Lowering& l, ValueId x, double alpha, double scale, double input_scale) {
  return activate(l, x, [&](ValueId wide) {
    const ValueId grown = l.e.unary(Fn::expm1, l.e.with_number(Fn::mul, wide, input_scale));
    return l.e.choose(above(l, wide, 0), l.e.with_number(Fn::mul, wide, scale),
                      l.e.with_number(Fn::mul, grown, alpha * scale));
  });
}

Results elu(Lowering& l, const Args& a) {
  return elu_of(l, a.value("self"), a.real("alpha"), a.real("scale"), a.real("input_scale"));
}

Results selu(Lowering& l, const Args& a) {
  return elu_of(l, a.value("self"), 1.6732632423543772848170429916717,
                1.0507009873554804934193349852946, 1);
}

Results celu(Lowering& l, const Args& a) {
  const double alpha = a.real("alpha");
  return elu_of(l, a.value("self"), alpha, 1, 1 / alpha);
}

// log(1 + exp(beta x)) / beta, and x itself beyond the threshold.
Results softplus(Lowering& l, const Args& a) {
  const double beta = a.real("beta"), threshold = a.real("threshold");
  return activate(l, a.value("self"), [&](ValueId x) {
    const ValueId scaled = l.e.with_number(Fn::mul, x, beta);
    const ValueId bent =
        l.e.with_number(Fn::div, l.e.unary(Fn::log1p, l.e.unary(Fn::exp, scaled)), beta);
    return l.e.choose(above(l, scaled, threshold), x, bent);
  });
}

Results mish(Lowering& l, const Args& a) {
  return activate(l, a.value("self"), [&](ValueId x) {
    return times(l, x, l.e.unary(Fn::tanh, l.e.unary(Fn::softplus, x)));
  });
}

Results softsign(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return l.e.binary(Fn::div, x, l.e.with_number(Fn::add, l.e.unary(Fn::abs, x), 1));
}

Results tanhshrink(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return l.e.binary(Fn::sub, x, l.e.unary(Fn::tanh, x));
}

// log(sigmoid(x)) = min(x, 0) - log1p(exp(-|x|))
ValueId log_sigmoid_of(Lowering& l, ValueId x) {
  return activate(l, x, [&](ValueId wide) {
    const ValueId rest = l.e.unary(Fn::neg, l.e.unary(Fn::abs, wide));
    return l.e.binary(Fn::sub, l.e.with_number(Fn::minimum, wide, 0),
                      l.e.unary(Fn::log1p, l.e.unary(Fn::exp, rest)));
  });
}

Results log_sigmoid(Lowering& l, const Args& a) { return log_sigmoid_of(l, a.value("self")); }

Results log_sigmoid_forward(Lowering& l, const Args& a) {
  return std::vector<ValueId>{log_sigmoid_of(l, a.value("self")), kNone};
}

Results hardshrink(Lowering& l, const Args& a) {
  const ValueId x = a.value("self"), size = l.e.unary(Fn::abs, x);
  const ValueId small = l.e.with_number(Fn::less_equal, size, a.real("lambd"));
  return l.e.choose(small, l.e.scalar(0, l.e.dtype(x)), x);
}

Results softshrink(Lowering& l, const Args& a) {
  const double lambd = a.real("lambd");
  return activate(l, a.value("self"), [&](ValueId x) {
    const ValueId inside = clamp(l, x, -lambd, lambd);
    return l.e.binary(Fn::sub, x, inside);
  });
}

Results threshold(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const DType type = l.e.dtype(x);
  const ValueId bound = convert(l, a.number("threshold"), type);
  return l.e.choose(l.e.binary(Fn::less_equal, x, bound), convert(l, a.number("value"), type), x);
}

// The first half of an axis times the sigmoid of the second.
Results glu(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const int64_t axis = a.axis("dim", l.e.rank(x));
  const Dim half = floor_div(l.e.extent(x, axis), 2);
  const ValueId first = l.e.slice(x, axis, 0, half), second = l.e.slice(x, axis, half, half);
  return l.e.cast(times(l, widen(l, first), l.e.unary(Fn::sigmoid, widen(l, second))),
                  l.e.dtype(x));
}

// In evaluation the middle slope of a random range.
Results rrelu(Lowering& l, const Args& a) {
  require(!a.flag("training"), Errc::unsupported, "training = True is not supported");
  return activate(l, a.value("self"), [&](ValueId x) {
    const double slope = (a.real("lower") + a.real("upper")) / 2;
    return l.e.choose(above(l, x, 0), x, l.e.with_number(Fn::mul, x, slope));
  });
}

constexpr Row kRows[] = {
    {"relu", "self", single<Fn::relu>},
    {"silu", "self", single<Fn::silu>},
    {"gelu", "self, approximate='none'", gelu},
    {"relu6", "self", relu6},
    {"hardtanh", "self, min_val=-1, max_val=1", hardtanh},
    {"hardsigmoid", "self", hardsigmoid},
    {"hardswish", "self", hardswish},
    {"leaky_relu", "self, negative_slope=0.01", leaky_relu},
    {"prelu _prelu_kernel", "self, weight", prelu},
    {"rrelu", "self, lower=0.125, upper=0.3333333333333333, training=False, generator=None", rrelu},
    {"elu", "self, alpha=1, scale=1, input_scale=1", elu},
    {"selu", "self", selu},
    {"celu", "self, alpha=1.0", celu},
    {"softplus", "self, beta=1, threshold=20", softplus},
    {"mish", "self", mish},
    {"softsign", "self", softsign},
    {"tanhshrink", "self", tanhshrink},
    {"log_sigmoid", "self", log_sigmoid},
    {"log_sigmoid_forward", "self", log_sigmoid_forward},
    {"hardshrink", "self, lambd=0.5", hardshrink},
    {"softshrink", "self, lambd=0.5", softshrink},
    {"threshold", "self, threshold, value", threshold},
    {"glu", "self, dim=-1", glu},
};

}  // namespace

std::span<const Row> activation_rows() { return kRows; }

}  // namespace tutti::pt2
