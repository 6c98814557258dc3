// SPDX-License-Identifier: Apache-2.0
#include "ops/flops.h"

#include <numeric>

#include "ops/attention.h"
#include "ops/conv.h"
#include "ops/fused_conv.h"
#include "ops/fused_matmul.h"
#include "ops/matmul.h"

namespace tutti {
namespace {

int64_t count(const Dims& shape) { return elements(shape); }

// 2 m k n for each product of the leading axes.
double of_matmul(const Dims& a, const Dims& y, int64_t columns) {
  if (count(y) == 0) return 0;
  const double rows = static_cast<double>(count(y) / y[y.rank() - 1]);
  return 2 * rows * static_cast<double>(a[a.rank() - 1]) * static_cast<double>(columns);
}

double of_attention(const Attention& op, std::span<const Dims> in, const Dims& y) {
  const int64_t s = y[2], t = in[1][2];
  const Band band = op.band();
  int64_t pairs = band.is_all() ? s * t : 0;
  for (int64_t i = 0; !band.is_all() && i < s; ++i) {
    const Band::Keys keys = band.keys(i, 1, t);
    pairs += keys.end - keys.begin;
  }
  return 2 * static_cast<double>(y[0] * y[1] * pairs) * static_cast<double>(in[0][3] + y[3]);
}

// Each element of y (of x, when transposed) meets one window of each channel of its group.
double of_conv(const Conv& op, const Dims& x, const Dims& y, int64_t window) {
  const int64_t meets = (op.transposed ? y[1] : x[1]) / op.groups * window;
  return 2 * static_cast<double>(count(op.transposed ? x : y)) * static_cast<double>(meets);
}

int64_t window_of(const Dims& w) {
  int64_t window = 1;
  for (int axis = 2; axis < w.rank(); ++axis) window *= w[axis];
  return window;
}

}  // namespace

double flops(const Op& op, std::span<const Dims> in, std::span<const Dims> out) {
  if (op.as<Matmul>()) return of_matmul(in[0], out[0], in[1][in[1].rank() - 1]);
  if (const auto* product = op.as<FusedMatmul>())
    return of_matmul(in[0], out[0],
                     std::accumulate(product->columns.begin(), product->columns.end(), int64_t{0}));
  if (const auto* attention = op.as<Attention>()) return of_attention(*attention, in, out[0]);
  if (const auto* conv = op.as<Conv>()) return of_conv(*conv, in[0], out[0], window_of(in[1]));
  if (const auto* conv = op.as<FusedConv>())
    // Weights of 3 x 3 are packed.
    return of_conv(*conv, in[0], out[0], conv->packed.empty() ? window_of(in[1]) : 9);
  return 0;
}

}  // namespace tutti
