// SPDX-License-Identifier: Apache-2.0
#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

// The queries are cut into this many tasks, each with a row of scores of its own.
constexpr int64_t kTasks = 64;

// One query against all keys; strides in elements.
template <class T, class Real>
struct Query {
  const T *q, *k, *v;
  const void* mask;  // null, T or bool
  bool mask_is_boolean;
  int64_t keys, width, value_width;
  int64_t q_step, k_row, k_step, v_row, v_step, mask_step;
  double scale;
};

// Scores of the keys, -inf for those that the query may not attend to; returns the largest, NaN if
// there is one.
template <class T, class Real>
Real score(const Query<T, Real>& query, Real* scores) {
  Real largest = -std::numeric_limits<Real>::infinity();
  for (int64_t t = 0; t < query.keys; ++t) {
    Real sum = 0;
    for (int64_t i = 0; i < query.width; ++i)
      sum += Real(query.q[i * query.q_step]) * Real(query.k[t * query.k_row + i * query.k_step]);
    sum *= static_cast<Real>(query.scale);
    if (query.mask && query.mask_is_boolean) {
      if (!static_cast<const bool*>(query.mask)[t * query.mask_step])
        sum = -std::numeric_limits<Real>::infinity();
    } else if (query.mask) {
      sum += Real(static_cast<const T*>(query.mask)[t * query.mask_step]);
    }
    scores[t] = sum;
    if (sum > largest || std::isnan(sum)) largest = sum;
  }
  return largest;
}

// Returns the logarithm of the sum of the exponentials.
template <class T, class Real>
Real attend(const Query<T, Real>& query, Real* scores, T* y, int64_t y_step) {
  const Real largest = score(query, scores);
  Real total = 0;
  const bool nothing = largest == -std::numeric_limits<Real>::infinity();
  for (int64_t t = 0; t < query.keys; ++t)
    total += scores[t] = nothing ? Real(0) : std::exp(scores[t] - largest);
  constexpr int64_t kColumns = 64;
  for (int64_t begin = 0; begin < query.value_width; begin += kColumns) {
    const int64_t columns = std::min(kColumns, query.value_width - begin);
    Real sums[kColumns] = {};
    for (int64_t t = 0; t < query.keys; ++t) {
      if (scores[t] == 0) continue;
      const T* v = query.v + t * query.v_row + begin * query.v_step;
      for (int64_t i = 0; i < columns; ++i) sums[i] += scores[t] * Real(v[i * query.v_step]);
    }
    for (int64_t i = 0; i < columns; ++i)
      y[(begin + i) * y_step] = T(nothing ? Real(0) : sums[i] / total);
  }
  return largest + std::log(total);
}

template <class T>
void attention(const Attention& op, const KernelArgs& args) {
  using Real = ComputeType<T>;
  const Tensor &q = args.in[0], &k = args.in[1], &v = args.in[2], &y = args.out[0];
  const Tensor* mask = args.in.size() == 4 ? &args.in[3] : nullptr;
  const int64_t heads = q.shape[1], queries = q.shape[2], keys = k.shape[2];
  const int64_t shared = heads / std::max<int64_t>(k.shape[1], 1);
  const Dims mask_strides =
      mask ? broadcast_strides(*mask, {q.shape[0], heads, queries, keys}) : Dims{0, 0, 0, 0};
  const Band band = op.band();
  const int64_t rows = q.shape[0] * heads * queries;
  const int64_t size = (rows + kTasks - 1) / kTasks;
  args.pool.parallel(rows == 0 ? 0 : (rows + size - 1) / size, [&](int64_t task, int) {
    Real* scores = static_cast<Real*>(args.workspace) + task * keys;
    for (int64_t row = task * size; row < std::min(rows, (task + 1) * size); ++row) {
      const int64_t s = row % queries, n = row / queries % heads, b = row / queries / heads;
      const auto at = [&](const Tensor& x, int64_t head, int64_t i) {
        return b * x.strides[0] + head * x.strides[1] + i * x.strides[2];
      };
      const auto [first, end] = band.keys(s, 1, keys);
      const void* row_mask = nullptr;
      if (mask) {
        const int64_t offset = b * mask_strides[0] + n * mask_strides[1] + s * mask_strides[2] +
                               first * mask_strides[3];
        row_mask = mask->as<const char>() + offset * static_cast<int64_t>(size_of(mask->dtype));
      }
      const Query<T, Real> query{q.as<const T>() + at(q, n, s),
                                 k.as<const T>() + at(k, n / shared, first),
                                 v.as<const T>() + at(v, n / shared, first),
                                 row_mask,
                                 mask && mask->dtype == DType::boolean,
                                 end - first,
                                 q.shape[3],
                                 v.shape[3],
                                 q.strides[3],
                                 k.strides[2],
                                 k.strides[3],
                                 v.strides[2],
                                 v.strides[3],
                                 mask_strides[3],
                                 op.scale};
      const Real lse = attend(query, scores, y.as<T>() + at(y, n, s), y.strides[3]);
      if (op.lse) {
        const Dims& strides = args.out[1].strides;
        args.out[1].as<Real>()[b * strides[0] + n * strides[1] + s * strides[2]] = lse;
      }
    }
  });
}

}  // namespace

std::vector<TensorType> Attention::infer(Types in) const {
  require_operands(in, 3, 4);
  const TensorType &q = in[0], &k = in[1], &v = in[2];
  require_float("q", q);
  for (const auto& [name, type] : {std::pair("q", &q), {"k", &k}, {"v", &v}}) {
    require_rank(name, *type, 4, 4);
    require_dtype(name, *type, q.dtype);
  }
  Dim b = same_extent(q.shape[0], "k", k, 0);
  b = same_extent(b, "v", v, 0);
  same_extent(k.shape[1], "v", v, 1);
  const Dim keys = same_extent(k.shape[2], "v", v, 2);
  same_extent(q.shape[3], "k", k, 3);
  const Dim &heads = q.shape[1], &shared = k.shape[1];
  if (heads.is_constant() && shared.is_constant())
    require_argument(shared == heads || (shared != Dim(0) && mod(heads, shared) == Dim(0)), "k is ",
                     k, "; a number of heads that divides that of q, ", q, ", is wanted");
  Shape scores{b, heads, q.shape[2], keys};
  if (in.size() == 4) {
    require_argument(in[3].dtype == DType::boolean || in[3].dtype == q.dtype, "mask is ", in[3],
                     "; bool or ", q.dtype, " is wanted");
    scores = broadcast_to(scores, "mask", in[3]);
  }
  std::vector<TensorType> result = {{q.dtype, {scores[0], scores[1], scores[2], v.shape[3]}}};
  const DType real = q.dtype == DType::f64 ? DType::f64 : DType::f32;
  if (lse) result.push_back({real, {scores[0], scores[1], scores[2]}});
  return result;
}

size_t Attention::workspace(Types in) const {
  const size_t real = in[0].dtype == DType::f64 ? sizeof(double) : sizeof(float);
  return static_cast<size_t>(kTasks * in[1].shape[2].value()) * real;
}

void Attention::cpu(const KernelArgs& args) const {
  with_dtype(args.out[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_integral_v<T>) attention<T>(*this, args);
  });
}

}  // namespace tutti
